// Decision events with holes where requests differ. The encoder in Python made them.
#pragma once

#include "event.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace routec {

// What goes into the holes.
struct Filling {
    std::string_view decision_id;  // hexadecimal
    PyObject *request_id = nullptr;
    int64_t time_ms = 0;
    std::string_view entry, response;
    const Known *known = nullptr;
    long long total_us = 0, scan_us = 0;
    PyObject *dumps = nullptr;
};

class Template {
  public:
    // Pairs of a kind and what belongs to it; `templates.py` knows the kinds by the same names.
    Template(Part spec, size_t signals)
        : pieces_(spec.each([signals](Part part) { return read_piece(part, signals); })) {}

    void fill(const Filling &filling, std::string &out) const {
        for (const Piece &piece : pieces_) {
            if (piece.signal >= 0) check(piece, filling.known->signals[piece.signal]);
            switch (piece.kind) {
                case Kind::literal: out += piece.text; break;
                case Kind::decision_id: quoted(out, filling.decision_id); break;
                case Kind::request_id: append_text(out, filling.request_id, filling.dumps); break;
                case Kind::time:
                    out += '"';
                    append_time(out, filling.time_ms);
                    out += '"';
                    break;
                case Kind::entry: quoted(out, filling.entry); break;
                case Kind::response: out += filling.response; break;
                case Kind::truth:
                    out += filling.known->signals[piece.signal].number != 0.0 ? "true" : "false";
                    break;
                case Kind::integer:
                    append_integer(
                        out, static_cast<long long>(filling.known->signals[piece.signal].number));
                    break;
                case Kind::real:
                    append_real(out, filling.known->signals[piece.signal].number, filling.dumps);
                    break;
                case Kind::name:
                    append_text(out, filling.known->signals[piece.signal].object, filling.dumps);
                    break;
                case Kind::margin: margin(piece, filling, out); break;
                case Kind::total_us: append_integer(out, filling.total_us); break;
                case Kind::scan_us: append_integer(out, filling.scan_us); break;
            }
        }
    }

  private:
    enum class Kind : unsigned char {
        literal, decision_id, request_id, time, entry, response, truth, integer, real, name, margin,
        total_us, scan_us
    };
    struct Piece {
        Kind kind;
        std::string text;
        int signal = -1;
        std::vector<double> thresholds;
    };

    static Piece read_piece(Part part, size_t signals) {
        static constexpr std::string_view kKinds[] = {
            "literal", "decision_id", "request_id", "time",   "entry",    "response", "truth",
            "integer", "real",        "name",       "margin", "total_us", "scan_us"};
        const std::string_view wanted = part[0].text();
        for (size_t kind = 0; kind < std::size(kKinds); ++kind)
            if (kKinds[kind] == wanted) {
                Piece piece{static_cast<Kind>(kind), std::string(part[1].bytes()),
                            part[2].index(-1, static_cast<long long>(signals)),
                            part[3].each([](Part one) { return one.number(); })};
                const bool of_signal = piece.kind >= Kind::truth && piece.kind <= Kind::margin;
                if (of_signal && piece.signal < 0) throw part[2].beyond();
                if (piece.kind == Kind::margin && piece.thresholds.empty()) throw part[3].beyond();
                return piece;
            }
        PyErr_Format(PyExc_ValueError, "unknown piece of a template: %R", part.object());
        throw PythonError{};
    }

    // What the engine made of the specimen must be what is known here.
    static void check(const Piece &piece, const Value &value) {
        if (!value.known || (piece.kind == Kind::name && value.object == nullptr)) throw Deferred{};
    }

    static void quoted(std::string &out, std::string_view text) {
        out += '"';
        out += text;
        out += '"';
    }

    // How far a number lies from the threshold nearest to it, as `Decision.margins` has it.
    static void margin(const Piece &piece, const Filling &filling, std::string &out) {
        const std::vector<double> &thresholds = piece.thresholds;
        const double value = filling.known->signals[piece.signal].number;
        const size_t above = static_cast<size_t>(
            std::lower_bound(thresholds.begin(), thresholds.end(), value) - thresholds.begin());
        double nearest = thresholds[above == 0 ? 0 : above - 1];
        if (0 < above && above < thresholds.size() && thresholds[above] - value < value - nearest)
            nearest = thresholds[above];
        const double distance = value - nearest;
        append_real(out, rounded(distance), filling.dumps);
    }

    static void append_real(std::string &out, double number, PyObject *dumps) {
        if (number == std::floor(number) && std::fabs(number) < 1e15 && number != 0.0) {
            append_integer(out, static_cast<long long>(number));
            out += ".0";
            return;
        }
        const Ref object(need(PyFloat_FromDouble(number)));
        const Ref written(need(PyObject_CallOneArg(dumps, object.get())));
        out += Part(written.get()).bytes();
    }

    std::vector<Piece> pieces_;
};

}  // namespace routec
