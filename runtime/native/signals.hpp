// The signals that are read off a request, or counted.
#pragma once

#include "request.hpp"

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

class Signals {
  public:
    explicit Signals(Part spec)
        : bound_(spec["bound"].callable()),
          count_(spec["count"].callable()),
          signals_(spec["signals"].each(read_signal)) {
        for (const Signal &signal : signals_) has_tokens_ |= signal.kind == Kind::tokens;
    }

    size_t size() const { return signals_.size(); }
    bool has_tokens() const { return has_tokens_; }
    bool is_tokens(size_t at) const { return signals_[at].kind == Kind::tokens; }

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
        const Ref text = chat.ascii ? Ref::of(Py_None) : request.whole_text();
        const Ref length(need(PyLong_FromSsize_t(
            chat.characters + static_cast<Py_ssize_t>(chat.messages.size()))));
        PyObject *arguments[] = {length.get(), text.get()};
        const Ref most(need(PyObject_Vectorcall(bound_, arguments, 2, nullptr)));
        return Part(most.get()).number();
    }

    double tokens(const Request &request) const {
        const Ref text = request.whole_text();
        const Ref found(need(PyObject_CallOneArg(count_, text.get())));
        return static_cast<double>(Part(found.get()).integer());
    }

  private:
    enum class Kind : unsigned char { turns, has_tools, has_image, clock, tokens, other };
    struct Signal {
        Kind kind;
        PyObject *reader;  // of a clock
        int rank, ordinal;
    };

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

    PyObject *bound_, *count_;
    std::vector<Signal> signals_;
    bool has_tokens_ = false;
};

}  // namespace routec
