// The way of a request through a policy, as far as it needs nothing but itself and the exact cache.
//
// It takes the steps of `runtime/engine/engine.py` in the same order. Where the engine would ask
// for a signal that is not read off the request, or do anything else that is rare, it throws
// `Deferred`, and the engine decides the request from the start.
#pragma once

#include "cachekey.hpp"
#include "template.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace routec {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

enum class Outcome : unsigned char { route, cached, reject };

// What was counted of a batch.
struct Tally {
    std::vector<long long> routed;            // by route
    std::vector<std::array<long long, 3>> looked_up;  // by category: misses, hits, spared
    std::vector<long long> counted;           // by signal, of numbers of tokens
    long long cached = 0, rejected = 0;
    double reading_s = 0.0, counting_s = 0.0;
    int64_t latest_ms = -1;
};

class Path {
  public:
    explicit Path(Part spec)
        : conditions_(spec),
          attributes_(spec["fields"]),
          body_(spec["body"]),
          key_(spec["key"]),
          guards_(spec["guards"], conditions_, -1, std::max<Py_ssize_t>(spec["actions"].size(), 2)),
          route_(spec["route"], conditions_, 0, spec["routes"].size()),
          categories_(spec["categories_question"], conditions_, -1, spec["categories"].size()),
          loads_(spec["loads"].callable()),
          dumps_(spec["dumps"].callable()),
          bound_(spec["bound"].callable()),
          count_(spec["count"].callable()),
          ask_(spec["ask"].none() ? Py_None : spec["ask"].callable()),
          missed_(spec["missed"].callable()),
          fingerprints_(spec["fingerprints"].dict()),
          template_(spec["template"].callable()),
          most_bytes_(spec["bytes"].integer()),
          most_depth_(spec["depth"].integer()),
          actions_(spec["actions"].each([](Part part) {
              return Guard{part[0].truth(), part[1].truth()};
          })),
          kept_apart_(spec["categories"].each([&](Part part) {
              return Category{part[0].string(), part[1].index(-1, spec["fields"].size()),
                              part[2].string(), part[3].truth()};
          })),
          routes_(spec["routes"].each([&](Part part) {
              return read_route(part, spec["categories"].size(), spec["fields"].size());
          })),
          signals_(spec["signals"].each(read_signal)) {
        if (!spec["cases"].none())
            cases_ = std::make_unique<Question>(spec["cases"], conditions_, -1,
                                                spec["categories"].size());
        if (actions_.size() > 60) throw spec["actions"].beyond();
        known_.fields.resize(attributes_.count());
        known_.signals.resize(signals_.size());
        for (const Route &route : routes_) sized_ |= !std::isinf(route.least);
        for (const Signal &signal : signals_) sized_ |= signal.kind == Kind::tokens;
        renew_tally();
    }

    Tally take_tally() {
        Tally taken = std::move(tally_);
        renew_tally();
        return taken;
    }

    void begin_batch(int64_t latest_ms) {
        begin_ = Clock::now();
        latest_ms_ = latest_ms;
        renew_tally();  // of a batch that was broken off
    }

    // Decides a record; `event` keeps what was decoded of it. Throws `Deferred` or `PythonError`.
    Ref decide(PyObject *record, PyObject *decided_type, Ref &event) {
        const Names &names = Names::get();
        const Ref value(need(PyObject_GetAttr(record, names.value)));
        event = decoded(value.get());
        const Ref headers(need(PyObject_GetAttr(record, names.headers)));
        check_headers(headers.get());
        const Clock::time_point begin = Clock::now();
        read(record, event.get());
        const double reading = seconds_since(begin);
        settle();
        finish();
        tally_.reading_s += reading;
        if (time_ms_ <= latest_ms_ && time_ms_ > tally_.latest_ms) tally_.latest_ms = time_ms_;
        const Ref bytes(
            need(PyBytes_FromStringAndSize(out_.data(), static_cast<Py_ssize_t>(out_.size()))));
        PyObject *arguments[] = {bytes.get(), headers.get()};
        return Ref(need(PyObject_Vectorcall(decided_type, arguments, 2, nullptr)));
    }

  private:
    enum class Kind : unsigned char { turns, has_tools, has_image, clock, tokens, other };
    struct Signal {
        Kind kind;
        PyObject *reader;  // of a clock
        int rank;          // of its stage; below `kEmbed` it comes before the cache
        int ordinal;       // of a number of tokens, among these
    };
    struct Guard {
        bool rejects, redacts;
    };
    struct Category {
        PyObject *name;
        int scope;        // field whose value keeps entries apart; -1 for none
        PyObject *begin;  // what precedes that value
        bool semantic;  // whether similar requests are looked for as well
    };
    struct Route {
        bool automatic;  // takes the request's category, else `category`
        int category;
        char pick;  // `f`: always the same; `d`: drawn by weights; `p`: by Python
        int always;  // place of the model that it always is
        std::vector<double> weights;
        double total;
        std::string salt;
        int sticky;        // field that draws depend on; -1 for the request's id
        double least;      // smallest context of its models
        long long limit;   // tokens of the answer; -1 for what the request says
    };
    struct Shape {
        int64_t bits;
        int route, category, pick, cache;
        uint64_t counted;
        bool operator==(const Shape &other) const {
            return bits == other.bits && route == other.route && category == other.category &&
                   pick == other.pick && cache == other.cache && counted == other.counted;
        }
    };
    struct Hash {
        size_t operator()(const Shape &shape) const {
            uint64_t mixed = static_cast<uint64_t>(shape.bits);
            for (const uint64_t part :
                 {static_cast<uint64_t>(shape.route), static_cast<uint64_t>(shape.category),
                  static_cast<uint64_t>(shape.pick), static_cast<uint64_t>(shape.cache),
                  shape.counted})
                mixed = (mixed ^ part) * 0x9e3779b97f4a7c15u + (mixed >> 29);
            return static_cast<size_t>(mixed);
        }
    };
    static constexpr int kEmbed = 2;
    static constexpr size_t kRemembered = 4096;

    static Route read_route(Part part, Py_ssize_t categories, Py_ssize_t fields) {
        const std::string_view pick = part["pick"].text();
        if (pick != "fixed" && pick != "drawn" && pick != "python") throw part["pick"].beyond();
        return {part["automatic"].truth(),
                part["category"].index(-1, categories),
                pick[0],
                part["always"].index(pick == "fixed" ? 0 : -1, INT_MAX),
                part["weights"].each([](Part one) { return one.number(); }),
                part["total"].number(),
                std::string(part["salt"].text()),
                part["sticky"].index(-1, fields),
                part["least"].number(),
                part["limit"].integer()};
    }

    static Signal read_signal(Part part) {
        static constexpr std::pair<std::string_view, Kind> kKinds[] = {
            {"turns", Kind::turns}, {"has_tools", Kind::has_tools}, {"has_image", Kind::has_image},
            {"hour", Kind::clock},  {"weekday", Kind::clock},       {"tokens", Kind::tokens}};
        Signal signal{Kind::other, part["reader"].object(), part["rank"].index(),
                      part["ordinal"].index()};
        for (const auto &[name, kind] : kKinds)
            if (part["kind"].text() == name) signal.kind = kind;
        if (signal.kind == Kind::clock) part["reader"].callable();
        if (signal.kind == Kind::tokens) part["ordinal"].index(0, 64);
        return signal;
    }

    void renew_tally() {
        tally_ = {};
        tally_.routed.resize(routes_.size());
        tally_.looked_up.resize(kept_apart_.size());
        tally_.counted.resize(signals_.size());
    }

    Ref decoded(PyObject *value) const {
        if (!PyBytes_Check(value)) throw Deferred{};
        const Part part(value);
        const std::string_view bytes = part.bytes();
        if (bytes.empty() || static_cast<long long>(bytes.size()) > most_bytes_) throw Deferred{};
        // Opening brackets bound the depth.
        if (brackets(bytes) > most_depth_) throw Deferred{};
        Ref event(need(PyObject_CallOneArg(loads_, value)));
        if (!PyDict_Check(event.get())) throw Deferred{};
        return event;
    }

    static long long brackets(std::string_view bytes) {
        long long found = 0;
        for (size_t from = 0; from < bytes.size(); from += 128) {
            // Counted in bytes, of which a processor adds many at once.
            unsigned char some = 0;
            for (const char sign : bytes.substr(from, 128)) some += sign == '{' || sign == '[';
            found += some;
        }
        return found;
    }

    // Headers that say something of the event are Python's to read.
    static void check_headers(PyObject *headers) {
        static constexpr std::string_view kTelling[] = {"ce_id", "ce_time", "ce_specversion",
                                                        "content-type", "routec-request-id"};
        const Part part(headers);
        for (Py_ssize_t at = 0; at < part.size(); ++at) {
            const std::string_view name = part[static_cast<int>(at)][0].text();
            for (const std::string_view telling : kTelling) {
                if (name.size() != telling.size()) continue;
                bool same = true;
                for (size_t sign = 0; sign < name.size(); ++sign)
                    same &= Py_TOLOWER(static_cast<unsigned char>(name[sign])) == telling[sign];
                if (same) throw Deferred{};
            }
        }
    }

    void read(PyObject *record, PyObject *event) {
        const Names &names = Names::get();
        owned_.clear();
        chat_.last_user = -1;
        chat_.turns = 0;
        chat_.plain = chat_.ascii = true;
        chat_.characters = 0;
        chat_.max_tokens = 0;
        PyObject *attributes, *body = member(event, names.body), *name = nullptr, *time = nullptr;
        if (body == nullptr && member(event, names.messages) != nullptr) {
            attributes = member(event, names.metadata);
            body = event;
        } else {
            attributes = member(event, names.attributes);
            name = member(event, names.request_id);
            time = member(event, names.time);
        }
        if (attributes == Py_None) attributes = nullptr;
        if (attributes != nullptr && !PyDict_Check(attributes)) throw Deferred{};
        place(record);
        if (missing(name)) {
            owned_.emplace_back(need(PyUnicode_FromFormat("%U-%lld-%lld", topic_.get(), partition_,
                                                          offset_)));
            name = owned_.back().get();
        } else if (!PyUnicode_Check(name)) {
            throw Deferred{};
        }
        const Py_ssize_t length = PyUnicode_GET_LENGTH(name);
        if (length == 0 || length > 1024) throw Deferred{};
        request_id_ = name;
        if (missing(time)) {
            const Ref stamp(need(PyObject_GetAttr(record, names.timestamp_ms)));
            time_ms_ = Part(stamp.get()).integer();
        } else {
            if (!PyUnicode_Check(time)) throw Deferred{};
            time_ms_ = read_time(utf8(time));
        }
        if (time_ms_ < 0 || time_ms_ >= 253'370'764'800'000) throw Deferred{};
        body_.read(body, chat_);
        attributes_.read(attributes, known_.fields, owned_);
        read_signals();
    }

    void place(PyObject *record) {
        const Names &names = Names::get();
        topic_ = Ref(need(PyObject_GetAttr(record, names.topic)));
        const Ref partition(need(PyObject_GetAttr(record, names.partition)));
        const Ref offset(need(PyObject_GetAttr(record, names.offset)));
        partition_ = Part(partition.get()).integer();
        offset_ = Part(offset.get()).integer();
    }

    void read_signals() {
        for (size_t at = 0; at < signals_.size(); ++at) {
            const Signal &signal = signals_[at];
            Value &value = known_.signals[at];
            value = {};
            switch (signal.kind) {
                case Kind::turns: value.number = chat_.turns; break;
                case Kind::has_tools: value.number = chat_.has_tools; break;
                case Kind::has_image: break;  // a plain text has none
                case Kind::clock: {
                    const Ref time(need(PyLong_FromLongLong(time_ms_)));
                    owned_.emplace_back(need(PyObject_CallOneArg(signal.reader, time.get())));
                    value.object = owned_.back().get();
                    if (PyLong_Check(value.object)) value.number = Part(value.object).number();
                    break;
                }
                default: value.known = false;
            }
        }
        counted_ = 0;
        tokens_ = -1;
        counting_s_ = 0.0;
        if (sized_) known_.most_tokens = most_tokens();
        conditions_.renew();
    }

    double most_tokens() {
        PyObject *text = Py_None;
        Ref joined;
        if (!chat_.ascii) {
            joined = whole_text();
            text = joined.get();
        }
        const Ref length(need(PyLong_FromSsize_t(
            chat_.characters + static_cast<Py_ssize_t>(chat_.messages.size()))));
        PyObject *arguments[] = {length.get(), text};
        const Ref most(need(PyObject_Vectorcall(bound_, arguments, 2, nullptr)));
        return Part(most.get()).number();
    }

    Ref whole_text() const {
        Ref texts(need(PyTuple_New(static_cast<Py_ssize_t>(chat_.messages.size()))));
        for (size_t at = 0; at < chat_.messages.size(); ++at) {
            PyObject *text = chat_.messages[at].text;
            PyTuple_SET_ITEM(texts.get(), static_cast<Py_ssize_t>(at),
                             text == nullptr ? need(PyUnicode_New(0, 0)) : Py_NewRef(text));
        }
        const Ref line_end(need(PyUnicode_FromString("\n")));
        return Ref(need(PyUnicode_Join(line_end.get(), texts.get())));
    }

    void count_tokens(int at) {
        const Clock::time_point begin = Clock::now();
        if (tokens_ < 0) {
            const Ref text = whole_text();
            const Ref found(need(PyObject_CallOneArg(count_, text.get())));
            tokens_ = Part(found.get()).integer();
        }
        known_.signals[at] = {true, static_cast<double>(tokens_), nullptr};
        counted_ |= uint64_t{1} << signals_[at].ordinal;
        counting_s_ += seconds_since(begin);
        conditions_.renew();
    }

    // --- deciding ---------------------------------------------------------------

    void settle() {
        bits_ = 0;
        guarded_ = rejected_ = asked_ = false;
        route_at_ = category_at_ = kUnsettled;
        cache_ = kNotAsked;
        hit_ = Ref();
        slip_ = Ref();
        spared_ = false;
        for (int wanted = advance(); wanted >= 0; wanted = advance()) {
            // What was counted and still is asked for would be asked for for ever.
            if (signals_[wanted].kind != Kind::tokens || known_.signals[wanted].known) throw Deferred{};
            count_tokens(wanted);
        }
    }

    // Goes on until decided (-1) or until a signal is needed.
    int advance() {
        if (!guarded_) {
            const int64_t bits = guards_.acting(conditions_, known_);
            if (bits <= kNeed) return static_cast<int>(kNeed - bits);
            bits_ = bits;
            guarded_ = true;
            for (size_t at = 0; at < actions_.size(); ++at) {
                if (!(bits >> at & 1)) continue;
                if (actions_[at].redacts) throw Deferred{};
                if (actions_[at].rejects) {
                    rejected_ = true;
                    break;
                }
            }
        }
        if (rejected_) return -1;
        int wanted = -1;
        if (route_at_ == kUnsettled) {
            const int route = route_.ask(conditions_, known_);
            if (route == -1) throw Deferred{};  // no route holds, which cannot be
            if (route <= kNeed) {
                wanted = kNeed - route;
            } else {
                route_at_ = route;
            }
        }
        if (kept_apart_.empty()) {
            category_at_ = -1;
        } else if (category_at_ == kUnsettled) {
            const int other = settle_category();
            if (other >= 0) {
                if (wanted < 0 || conditions_.turn(other) < conditions_.turn(wanted)) wanted = other;
                return wanted;
            }
        }
        if (!asked_ && category_at_ >= 0 && (wanted < 0 || signals_[wanted].rank >= kEmbed)) {
            asked_ = true;
            ask(wanted >= 0);
        }
        return cache_ == kHit ? -1 : wanted;
    }

    int settle_category() {
        const Question *question = &categories_;
        if (route_at_ != kUnsettled) {
            const Route &route = routes_[route_at_];
            if (!route.automatic) {
                category_at_ = route.category;
                return -1;
            }
        } else if (cases_ != nullptr && ask_ != Py_None) {
            question = cases_.get();
        } else {
            return -1;
        }
        const int category = question->ask(conditions_, known_);
        if (category <= kNeed) return kNeed - category;
        category_at_ = category;
        return -1;
    }

    // Needing a signal later, or a choice that is not made here, the engine is to ask again.
    void ask(bool needs) {
        if (ask_ == Py_None) return;
        // What a message has beside its text makes the key of others.
        if (!chat_.plain) throw Deferred{};
        const Category &category = kept_apart_[category_at_];
        const auto [context, fingerprint] = key_.of(chat_);
        const bool semantic = category.semantic && !chat_.has_tools && chat_.last_user >= 0;
        const bool again = needs || semantic || !chosen_here(routes_[route_at_]);
        const Ref scope = scope_of(category);
        const Ref first(need(bytes_of(context))), second(need(bytes_of(fingerprint)));
        slip_ = Ref(need(PyTuple_Pack(4, scope.get(), category.name, first.get(), second.get())));
        const int held = PyDict_Contains(fingerprints_, second.get());
        if (held < 0) throw PythonError{};
        cache_ = kMiss;
        spared_ = held == 0;
        if (!spared_) {
            const Ref now(need(PyFloat_FromDouble(static_cast<double>(time_ms_ / 1000))));
            PyObject *arguments[] = {slip_.get(), now.get(), again ? Py_True : Py_False};
            hit_ = Ref(need(PyObject_Vectorcall(ask_, arguments, 3, nullptr)));
            if (hit_.get() != Py_None) cache_ = kHit;
        }
        if (cache_ == kMiss && again) throw Deferred{};
    }

    static PyObject *bytes_of(const Digest &digest) {
        return PyBytes_FromStringAndSize(reinterpret_cast<const char *>(digest.data()),
                                         sizeof digest);
    }

    Ref scope_of(const Category &category) const {
        if (category.scope < 0) return Ref::of(category.begin);
        PyObject *value = known_.fields[category.scope].object;
        Ref text;
        if (PyBool_Check(value)) {
            text = Ref(need(PyUnicode_FromString(value == Py_True ? "true" : "false")));
        } else if (PyAnySet_Check(value)) {
            const Ref items(need(PySequence_List(value)));
            if (PyList_Sort(items.get()) < 0) throw PythonError{};
            const Ref written(need(PyObject_CallOneArg(dumps_, items.get())));
            const std::string_view bytes = Part(written.get()).bytes();
            text = Ref(need(PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()),
                                                 nullptr)));
        } else {
            text = Ref(need(PyObject_Str(value)));
        }
        return Ref(need(PyUnicode_Concat(category.begin, text.get())));
    }

    // --- the outcome ------------------------------------------------------------

    void finish() {
        const bool hit = cache_ == kHit;
        const Outcome outcome = rejected_ ? Outcome::reject : hit ? Outcome::cached : Outcome::route;
        const bool routed = outcome == Outcome::route;
        const Shape shape{bits_, routed ? route_at_ : -1, rejected_ ? -1 : category_at_,
                          routed ? pick() : -1, rejected_ ? kNotAsked : cache_, counted_};
        const Template &of = template_of(shape);
        unsigned char digest[16];
        identify(digest);
        id_.clear();
        append_hex(id_, digest, sizeof digest);
        Filling filling;
        filling.decision_id = id_;
        filling.request_id = request_id_;
        filling.time_ms = time_ms_;
        if (hit) {
            const Part answer(hit_.get());
            filling.entry = answer[0].text();
            filling.response = answer[1].bytes();
        }
        filling.known = &known_;
        filling.total_us = std::llround(seconds_since(begin_) * 1e6);
        filling.counting_us = std::llround(counting_s_ * 1e6);
        filling.dumps = dumps_;
        out_.clear();
        of.fill(filling, out_);
        for (size_t at = 0; counted_ != 0 && at < signals_.size(); ++at)
            if (signals_[at].kind == Kind::tokens && counted_ >> signals_[at].ordinal & 1)
                ++tally_.counted[at];
        tally_.counting_s += counting_s_;
        if (cache_ != kNotAsked) {
            ++tally_.looked_up[category_at_][hit];
            tally_.looked_up[category_at_][2] += spared_;
        }
        if (routed) {
            ++tally_.routed[route_at_];
            if (slip_) remember();
        } else {
            ++(hit ? tally_.cached : tally_.rejected);
        }
    }

    void remember() {
        const Ref id(need(PyUnicode_FromStringAndSize(id_.data(),
                                                      static_cast<Py_ssize_t>(id_.size()))));
        PyObject *arguments[] = {id.get(), slip_.get()};
        const Ref done(need(PyObject_Vectorcall(missed_, arguments, 2, nullptr)));
    }

    // Whether the model of a route can be told: all of its models hold the request.
    bool chosen_here(const Route &route) const {
        if (route.pick == 'p') return false;
        if (route.pick == 'd' && route.sticky >= 0 &&
            !PyUnicode_Check(known_.fields[route.sticky].object))
            return false;
        if (std::isinf(route.least)) return true;
        const long long answer = route.limit < 0 ? chat_.max_tokens : route.limit;
        return known_.most_tokens + static_cast<double>(answer) <= route.least;
    }

    // The place of the model among the candidates, by `runtime/selection.py`.
    int pick() const {
        const Route &route = routes_[route_at_];
        if (!chosen_here(route)) throw Deferred{};
        if (route.pick == 'f') return route.always;
        std::string salted = route.salt;
        if (route.sticky < 0) {
            salted += utf8(request_id_);
        } else {
            salted += utf8(known_.fields[route.sticky].object);
        }
        unsigned char digest[8];
        Blake2b blake(sizeof digest);
        blake.update(salted);
        blake.finish(digest);
        uint64_t drawn = 0;
        for (const unsigned char byte : digest) drawn = drawn << 8 | byte;
        double point = static_cast<double>(drawn) / 0x1p64 * route.total;
        int last = 0;
        for (size_t at = 0; at < route.weights.size(); ++at) {
            if (point < route.weights[at]) return static_cast<int>(at);
            point -= route.weights[at];
            if (route.weights[at] > 0.0) last = static_cast<int>(at);
        }
        return last;
    }

    void identify(unsigned char *digest) const {
        std::string name(utf8(topic_.get()));
        name += '\0';
        append_integer(name, partition_);
        name += '\0';
        append_integer(name, offset_);
        Blake2b blake(16);
        blake.update(name);
        blake.finish(digest);
    }

    const Template &template_of(const Shape &shape) {
        const auto found = templates_.find(shape);
        if (found != templates_.end()) return found->second;
        if (templates_.size() >= kRemembered) templates_.clear();
        const Ref made(need(PyObject_CallFunction(template_, "LiiiiK", shape.bits, shape.route,
                                                  shape.category, shape.pick, shape.cache,
                                                  static_cast<unsigned long long>(shape.counted))));
        return templates_.emplace(shape, Template(Part(made.get()), signals_.size())).first->second;
    }

    static constexpr int kUnsettled = -2;
    static constexpr int kNotAsked = 0, kMiss = 1, kHit = 2;

    Conditions conditions_;
    AttributeReader attributes_;
    BodyReader body_;
    CacheKey key_;
    Question guards_, route_, categories_;
    std::unique_ptr<Question> cases_;
    PyObject *loads_, *dumps_, *bound_, *count_, *ask_, *missed_, *fingerprints_, *template_;
    long long most_bytes_, most_depth_;
    std::vector<Guard> actions_;
    std::vector<Category> kept_apart_;
    std::vector<Route> routes_;
    std::vector<Signal> signals_;
    bool sized_ = false;
    std::unordered_map<Shape, Template, Hash> templates_;

    // Of the batch.
    Tally tally_;
    Clock::time_point begin_;
    int64_t latest_ms_ = 0;

    // Of the request.
    Known known_;
    Chat chat_;
    std::vector<Ref> owned_;
    Ref topic_, hit_, slip_;
    long long partition_ = 0, offset_ = 0, tokens_ = -1;
    int64_t time_ms_ = 0, bits_ = 0;
    PyObject *request_id_ = nullptr;
    bool guarded_ = false, rejected_ = false, asked_ = false, spared_ = false;
    int route_at_ = kUnsettled, category_at_ = kUnsettled, cache_ = kNotAsked;
    uint64_t counted_ = 0;
    double counting_s_ = 0.0;
    std::string id_, out_;
};

}  // namespace routec
