// The way of a request through a policy, as far as it needs nothing but itself and the exact cache.
//
// It takes the steps of `runtime/engine/engine.py` in the same order. Where the engine would ask
// for a signal that is not read off the request, or do anything else that is rare, it throws
// `Deferred`, and the engine decides the request from the start.
#pragma once

#include "cachekey.hpp"
#include "question.hpp"
#include "selection.hpp"
#include "signals.hpp"
#include "tally.hpp"
#include "template.hpp"

#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace routec {

class Path {
  public:
    explicit Path(Part spec)
        : conditions_(spec),
          reader_(spec),
          signals_(spec),
          key_(spec["key"]),
          guards_(spec["guards"], conditions_, -1, std::max<Py_ssize_t>(spec["actions"].size(), 2)),
          route_(spec["route"], conditions_, 0, spec["routes"].size()),
          category_(spec["categories_question"], conditions_, -1, spec["categories"].size()),
          actions_(spec["actions"].each([](Part part) {
              return Action{part[0].truth(), part[1].truth()};
          })),
          categories_(spec["categories"].each([&](Part part) {
              return Category{part[0].string(), part[1].index(-1, spec["fields"].size()),
                              part[2].string(), part[3].truth()};
          })),
          routes_(spec["routes"].each([&](Part part) {
              return Route(part, spec["categories"].size(), spec["fields"].size());
          })),
          dumps_(spec["dumps"].callable()),
          ask_(spec["ask"].none() ? nullptr : spec["ask"].callable()),
          missed_(spec["missed"].callable()),
          fingerprints_(spec["fingerprints"].dict()),
          template_(spec["template"].callable()),
          tally_(new_tally()) {
        if (!spec["cases"].none())
            case_ = std::make_unique<Question>(spec["cases"], conditions_, -1,
                                               spec["categories"].size());
        if (actions_.size() > 60) throw spec["actions"].beyond();
        known_.fields.resize(reader_.fields());
        known_.signals.resize(signals_.size());
        sized_ = signals_.has_tokens();
        for (const Route &route : routes_) sized_ |= !std::isinf(route.least);
    }

    // Begins a batch; requests of later times do not count for `Tally::latest_ms`.
    void begin(int64_t latest_ms) {
        begin_ = Clock::now();
        latest_ms_ = latest_ms;
        tally_ = new_tally();
    }

    // Of the batch since its beginning.
    const Tally &tally() const { return tally_; }

    // Decides a record: its outcome. Throws `Deferred` or `PythonError`.
    Ref decide(PyObject *record, PyObject *decided_type) {
        reader_.read(record, request_, known_.fields);
        const Clock::time_point begin = Clock::now();
        signals_.read(request_, known_);
        const double reading_s = seconds_since(begin);
        if (sized_) known_.most_tokens = signals_.most_tokens(request_);
        conditions_.renew();
        way_ = Way();
        settle();
        write();
        count(reading_s);
        const Ref bytes(
            need(PyBytes_FromStringAndSize(out_.data(), static_cast<Py_ssize_t>(out_.size()))));
        PyObject *arguments[] = {bytes.get(), request_.headers.get()};
        return Ref(need(PyObject_Vectorcall(decided_type, arguments, 2, nullptr)));
    }

    // What was decoded of the last record, within the limits; null if it was not.
    Ref take_event() { return std::move(request_.event); }

  private:
    struct Action {
        bool rejects, redacts;
    };
    struct Category {
        PyObject *name;
        int scope;        // field whose value keeps entries apart; -1 for none
        PyObject *begin;  // what precedes that value
        bool semantic;    // whether similar requests are looked for as well
    };
    enum class Asked : int { not_asked, miss, hit };  // as `templates.py` numbers them

    // How far the request has come.
    struct Way {
        bool guarded = false, rejected = false;
        int64_t bits = 0;
        int route = kUnsettled, category = kUnsettled;
        bool looked = false, spared = false;
        Asked cache = Asked::not_asked;
        Ref answer, slip;
        double tokens = -1.0, counting_s = 0.0;
        std::array<double, kScopes> scanning_s{};
        uint64_t counted = 0, scanned = 0;  // as bits: numbers of tokens, stretches of text
    };

    // What decisions that end alike have in common.
    struct Shape {
        int64_t bits;
        int route, category, pick, cache;
        uint64_t counted, scanned, derived;

        auto parts() const {
            return std::tie(bits, route, category, pick, cache, counted, scanned, derived);
        }
        bool operator==(const Shape &other) const { return parts() == other.parts(); }
    };
    struct Hash {
        size_t operator()(const Shape &shape) const {
            uint64_t mixed = 0;
            const auto mix = [&mixed](auto part) {
                mixed = (mixed ^ static_cast<uint64_t>(part)) * 0x9e3779b97f4a7c15u + (mixed >> 29);
            };
            std::apply([&mix](auto... part) { (mix(part), ...); }, shape.parts());
            return static_cast<size_t>(mixed);
        }
    };

    static constexpr int kUnsettled = -2;
    static constexpr int kEmbed = 2;  // signals of earlier stages come before the cache
    static constexpr size_t kRemembered = 4096;

    Tally new_tally() const { return Tally(routes_.size(), categories_.size(), signals_.size()); }

    // --- deciding ---------------------------------------------------------------

    void settle() {
        for (int wanted = advance(); wanted >= 0; wanted = advance()) {
            // What is known and still is asked for would be asked for for ever.
            if (known_.signals[wanted].known) throw Deferred{};
            if (signals_.is_tokens(wanted)) {
                count_tokens(wanted);
            } else if (signals_.scope(wanted) >= 0) {
                scan(signals_.scope(wanted));
                if (!known_.signals[wanted].known) throw Deferred{};
            } else {
                throw Deferred{};
            }
            conditions_.renew();
        }
    }

    void count_tokens(int at) {
        const Clock::time_point begin = Clock::now();
        known_.signals[at] = {true, tokens(), nullptr};
        way_.counted |= signals_.bit(at);
        way_.counting_s += seconds_since(begin);
    }

    double tokens() {
        if (way_.tokens < 0.0) way_.tokens = signals_.tokens(request_);
        return way_.tokens;
    }

    void scan(int scope) {
        const Clock::time_point begin = Clock::now();
        signals_.scan(scope, request_, known_);
        way_.scanned |= uint64_t{1} << scope;
        way_.scanning_s[scope] = seconds_since(begin);
    }

    // Goes on until decided (-1) or until a signal is needed.
    int advance() {
        if (!way_.guarded) {
            const int64_t bits = guards_.acting(conditions_, known_);
            if (bits <= kNeed) return static_cast<int>(kNeed - bits);
            act(bits);
        }
        if (way_.rejected) return -1;
        int wanted = -1;
        if (way_.route == kUnsettled) {
            const int route = route_.ask(conditions_, known_);
            if (route == -1) throw Deferred{};  // no route holds, which cannot be
            if (route <= kNeed) {
                wanted = kNeed - route;
            } else {
                way_.route = route;
                // Without a cache nothing else can come of it.
                if (routes_[route].in_python() && (categories_.empty() || ask_ == nullptr))
                    throw Deferred{};
            }
        }
        if (categories_.empty()) {
            way_.category = -1;
        } else if (way_.category == kUnsettled) {
            const int other = settle_category();
            if (other >= 0) {
                if (wanted < 0 || conditions_.turn(other) < conditions_.turn(wanted)) wanted = other;
                return wanted;
            }
        }
        if (!way_.looked && way_.category >= 0 && (wanted < 0 || signals_.rank(wanted) >= kEmbed)) {
            way_.looked = true;
            if (ask_ != nullptr) look_up(wanted >= 0);
        }
        return way_.cache == Asked::hit ? -1 : wanted;
    }

    void act(int64_t bits) {
        way_.bits = bits;
        way_.guarded = true;
        for (size_t at = 0; at < actions_.size(); ++at) {
            if (!(bits >> at & 1)) continue;
            if (actions_[at].redacts) throw Deferred{};
            if (actions_[at].rejects) {
                way_.rejected = true;
                return;
            }
        }
    }

    // Settles the category if that can be done; the signal that it needs, or -1.
    int settle_category() {
        const Question *question = &category_;
        if (way_.route != kUnsettled) {
            const Route &route = routes_[way_.route];
            if (!route.automatic) {
                way_.category = route.category;
                return -1;
            }
        } else if (case_ != nullptr && ask_ != nullptr) {
            question = case_.get();
        } else {
            return -1;
        }
        const int category = question->ask(conditions_, known_);
        if (category <= kNeed) return kNeed - category;
        way_.category = category;
        return -1;
    }

    // --- the cache --------------------------------------------------------------

    // Asks the exact tier; where more is needed after a miss, the engine is to ask again.
    void look_up(bool needs) {
        // What a message has beside its text makes the key of others.
        if (!request_.chat.plain) throw Deferred{};
        const Category &category = categories_[way_.category];
        const auto [context, fingerprint] = key_.of(request_.chat);
        const bool semantic =
            category.semantic && !request_.chat.has_tools && request_.chat.last_user >= 0;
        const bool again = needs || semantic || !routes_[way_.route].chooses(request_, known_);
        const Ref scope = scope_of(category);
        const Ref first(need(bytes_of(context))), second(need(bytes_of(fingerprint)));
        way_.slip =
            Ref(need(PyTuple_Pack(4, scope.get(), category.name, first.get(), second.get())));
        const int held = PyDict_Contains(fingerprints_, second.get());
        if (held < 0) throw PythonError{};
        way_.cache = Asked::miss;
        way_.spared = held == 0;
        if (!way_.spared) {
            const Ref now(need(PyFloat_FromDouble(static_cast<double>(request_.time_ms / 1000))));
            PyObject *arguments[] = {way_.slip.get(), now.get(), again ? Py_True : Py_False};
            way_.answer = Ref(need(PyObject_Vectorcall(ask_, arguments, 3, nullptr)));
            if (way_.answer.get() != Py_None) way_.cache = Asked::hit;
        }
        if (way_.cache == Asked::miss && again) throw Deferred{};
    }

    static PyObject *bytes_of(const Digest &digest) {
        return PyBytes_FromStringAndSize(reinterpret_cast<const char *>(digest.data()),
                                         sizeof digest);
    }

    // What keeps entries apart: the field's name and its value as `key_text` writes it.
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
            text = Ref(need(PyUnicode_DecodeUTF8(
                bytes.data(), static_cast<Py_ssize_t>(bytes.size()), nullptr)));
        } else {
            text = Ref(need(PyObject_Str(value)));
        }
        return Ref(need(PyUnicode_Concat(category.begin, text.get())));
    }

    // --- the outcome ------------------------------------------------------------

    bool routed() const { return !way_.rejected && way_.cache != Asked::hit; }

    // Writes the event, and tells of a miss where its answer belongs.
    void write() {
        const bool hit = way_.cache == Asked::hit;
        const uint64_t derived = conditions_.derive(known_);
        const Template &of = template_of(shape(derived));
        identify();
        Filling filling;
        filling.decision_id = id_;
        filling.request_id = request_.id;
        filling.time_ms = request_.time_ms;
        if (hit) {
            const Part answer(way_.answer.get());
            filling.entry = answer[0].text();
            filling.response = answer[1].bytes();
        }
        filling.known = &known_;
        filling.total_us = std::llround(seconds_since(begin_) * 1e6);
        double scan_s = way_.counting_s;
        for (const double seconds : way_.scanning_s) scan_s += seconds;
        filling.scan_us = std::llround(scan_s * 1e6);
        filling.dumps = dumps_;
        out_.clear();
        of.fill(filling, out_);
        if (routed() && way_.slip) {
            const Ref id(
                need(PyUnicode_FromStringAndSize(id_.data(), static_cast<Py_ssize_t>(id_.size()))));
            PyObject *arguments[] = {id.get(), way_.slip.get()};
            const Ref done(need(PyObject_Vectorcall(missed_, arguments, 2, nullptr)));
        }
    }

    Shape shape(uint64_t derived) {
        int pick = -1;
        if (routed()) {
            const Route &route = routes_[way_.route];
            if (!route.chooses(request_, known_)) throw Deferred{};
            pick = route.choose(request_, known_, route.counts() ? tokens() : 0.0);
        }
        return {way_.bits,
                routed() ? way_.route : -1,
                way_.rejected ? -1 : way_.category,
                pick,
                static_cast<int>(way_.cache),
                way_.counted,
                way_.scanned,
                derived};
    }

    const Template &template_of(const Shape &shape) {
        const auto found = templates_.find(shape);
        if (found != templates_.end()) return found->second;
        if (templates_.size() >= kRemembered) templates_.clear();
        const Ref signals(tuple(signals_.size(), [this](size_t at) {
            return signals_.object(at, known_).release();
        }));
        const Ref fields(tuple(known_.fields.size(), [this](size_t at) {
            return Py_NewRef(known_.fields[at].object);
        }));
        const Ref made(need(PyObject_CallFunction(
            template_, "LiiiiOOd", static_cast<long long>(shape.bits), shape.route,
            shape.category, shape.pick, shape.cache, signals.get(), fields.get(),
            known_.most_tokens)));
        return templates_.emplace(shape, Template(Part(made.get()), signals_.size())).first->second;
    }

    template <typename Make> static PyObject *tuple(size_t size, Make make) {
        Ref made(need(PyTuple_New(static_cast<Py_ssize_t>(size))));
        for (size_t at = 0; at < size; ++at)
            PyTuple_SET_ITEM(made.get(), static_cast<Py_ssize_t>(at), make(at));
        return made.release();
    }

    // The decision's id: `decision_id` of `runtime/events/encode.py`.
    void identify() {
        std::string place(utf8(request_.topic.get()));
        place += '\0';
        append_integer(place, request_.partition);
        place += '\0';
        append_integer(place, request_.offset);
        unsigned char digest[16];
        Blake2b blake(sizeof digest);
        blake.update(place);
        blake.finish(digest);
        id_.clear();
        append_hex(id_, digest, sizeof digest);
    }

    void count(double reading_s) {
        ++tally_.finished;
        tally_.reading_s += reading_s;
        tally_.counting_s += way_.counting_s;
        for (size_t at = 0; way_.counted != 0 && at < signals_.size(); ++at)
            tally_.counted[at] += signals_.is_tokens(at) && (way_.counted & signals_.bit(at)) != 0;
        for (size_t scope = 0; scope < kScopes; ++scope) {
            tally_.scanned[scope] += way_.scanned >> scope & 1;
            tally_.scanning_s[scope] += way_.scanning_s[scope];
        }
        const bool hit = way_.cache == Asked::hit;
        if (way_.cache != Asked::not_asked) {
            auto &[misses, hits, spared] = tally_.looked_up[way_.category];
            ++(hit ? hits : misses);
            spared += way_.spared;
        }
        ++(way_.rejected ? tally_.rejected : hit ? tally_.cached : tally_.routed[way_.route]);
        if (request_.time_ms <= latest_ms_ && request_.time_ms > tally_.latest_ms)
            tally_.latest_ms = request_.time_ms;
    }

    Conditions conditions_;
    RequestReader reader_;
    Signals signals_;
    CacheKey key_;
    Question guards_, route_, category_;
    std::unique_ptr<Question> case_;  // the category whatever route it will be
    std::vector<Action> actions_;     // of the guards
    std::vector<Category> categories_;
    std::vector<Route> routes_;
    PyObject *dumps_, *ask_, *missed_, *fingerprints_, *template_;
    bool sized_ = false;  // whether something depends on the number of tokens
    std::unordered_map<Shape, Template, Hash> templates_;

    // Of the batch.
    Tally tally_;
    Clock::time_point begin_;
    int64_t latest_ms_ = 0;

    // Of the request.
    Request request_;
    Known known_;
    Way way_;
    std::string id_, out_;
};

}  // namespace routec
