// The signals that are read off a request, counted, or found by scanning its texts.
#pragma once

#include "request.hpp"

#include <array>
#include <chrono>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

namespace routec {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Most stretches of a conversation that signals can read.
constexpr size_t kScopes = 4;

class Signals {
  public:
    explicit Signals(Part spec)
        : bound_(spec["bound"].callable()),
          count_(spec["count"].callable()),
          scan_(spec["scan"].callable()),
          scopes_(spec["scopes"].each([](Part part) {
              return Scope{part[0].string(), part[1].truth(),
                           part[2].none() ? nullptr : part[2].set()};
          })),
          signals_(spec["signals"].each([this](Part part) { return read_signal(part); })) {
        if (scopes_.size() > kScopes) throw spec["scopes"].beyond();
        for (const Signal &signal : signals_) has_tokens_ |= signal.kind == Kind::tokens;
    }

    size_t size() const { return signals_.size(); }
    bool has_tokens() const { return has_tokens_; }
    bool is_tokens(size_t at) const { return signals_[at].kind == Kind::tokens; }

    // Of the stretch that a signal is looked for in; -1 if it is not looked for in a text.
    int scope(size_t at) const { return signals_[at].scope; }

    // Rank of a signal's stage.
    int rank(int at) const { return signals_[at].rank; }

    // The bit of a number of tokens, among those that were counted.
    uint64_t bit(size_t at) const { return uint64_t{1} << signals_[at].ordinal; }

    // Gives a request what it has from the start.
    void read(Request &request, Known &known) const {
        for (size_t at = 0; at < signals_.size(); ++at) {
            const Signal &signal = signals_[at];
            Value &value = known.signals[at];
            value = {};
            switch (signal.kind) {
                case Kind::turns: value.number = request.chat.turns; break;
                case Kind::has_tools: value.number = request.chat.has_tools; break;
                case Kind::has_image: break;  // a plain text has none
                case Kind::clock: {
                    const Ref time(need(PyLong_FromLongLong(request.time_ms)));
                    request.owned.emplace_back(
                        need(PyObject_CallOneArg(signal.reader, time.get())));
                    value.object = request.owned.back().get();
                    if (PyLong_Check(value.object)) value.number = Part(value.object).number();
                    break;
                }
                default: value.known = false;
            }
        }
    }

    // A bound of a request's tokens that costs next to nothing.
    double most_tokens(const Request &request) const {
        const Chat &chat = request.chat;
        const Ref text = chat.ascii ? Ref::of(Py_None) : request.text_of(nullptr);
        const Ref length(need(PyLong_FromSsize_t(
            chat.characters + static_cast<Py_ssize_t>(chat.messages.size()))));
        PyObject *arguments[] = {length.get(), text.get()};
        const Ref most(need(PyObject_Vectorcall(bound_, arguments, 2, nullptr)));
        return Part(most.get()).number();
    }

    double tokens(const Request &request) const {
        const Ref text = request.text_of(nullptr);
        const Ref found(need(PyObject_CallOneArg(count_, text.get())));
        return static_cast<double>(Part(found.get()).integer());
    }

    // Gives a request all that one scan of a text tells.
    void scan(int scope, const Request &request, Known &known) const {
        const Scope &of = scopes_[scope];
        const Ref text = of.last ? request.last_text() : request.text_of(of.roles);
        PyObject *arguments[] = {of.name, text.get()};
        const Ref found(need(PyObject_Vectorcall(scan_, arguments, 2, nullptr)));
        const Part all(found.get());
        for (Py_ssize_t at = 0; at < all.size(); ++at) {
            const Part one = all[static_cast<int>(at)];
            const int signal = one[0].index(0, static_cast<long long>(signals_.size()));
            if (signals_[signal].scope != scope) throw one.beyond();
            known.signals[signal] = {true, one[1].truth() ? 1.0 : 0.0, nullptr};
        }
    }

    // A signal's value as the engine has it; None where it is not known or is worked out.
    Ref object(size_t at, const Known &known) const {
        const Value &value = known.signals[at];
        if (!value.known) return Ref::of(Py_None);
        switch (signals_[at].kind) {
            case Kind::turns:
            case Kind::tokens:
                return Ref(need(PyLong_FromLongLong(static_cast<long long>(value.number))));
            case Kind::has_tools:
            case Kind::has_image:
            case Kind::scanned: return Ref(PyBool_FromLong(value.number != 0.0));
            case Kind::clock: return Ref::of(value.object);
            case Kind::other: break;
        }
        return Ref::of(Py_None);
    }

  private:
    enum class Kind : unsigned char {
        turns, has_tools, has_image, clock, tokens, scanned, other
    };
    struct Scope {
        PyObject *name;
        bool last;        // only the last message of the user
        PyObject *roles;  // else messages of these roles; null for all
    };
    struct Signal {
        Kind kind;
        PyObject *reader;  // of a clock
        int rank, ordinal;
        int scope;  // of a text that is scanned; -1 for none
    };

    Signal read_signal(Part part) const {
        static constexpr std::pair<std::string_view, Kind> kKinds[] = {
            {"turns", Kind::turns}, {"has_tools", Kind::has_tools}, {"has_image", Kind::has_image},
            {"hour", Kind::clock},  {"weekday", Kind::clock},       {"tokens", Kind::tokens},
            {"keyword", Kind::scanned}, {"regex", Kind::scanned}};
        const auto scopes = static_cast<long long>(scopes_.size());
        Signal signal{Kind::other, part["reader"].object(), part["rank"].index(),
                      part["ordinal"].index(), part["scope"].index(-1, scopes)};
        for (const auto &[name, kind] : kKinds)
            if (part["kind"].text() == name) signal.kind = kind;
        if (signal.kind == Kind::clock) part["reader"].callable();
        if (signal.kind == Kind::tokens) part["ordinal"].index(0, 64);
        if ((signal.kind == Kind::scanned) != (signal.scope >= 0)) throw part["scope"].beyond();
        return signal;
    }

    PyObject *bound_, *count_, *scan_;
    std::vector<Scope> scopes_;
    std::vector<Signal> signals_;
    bool has_tokens_ = false;
};

}  // namespace routec
