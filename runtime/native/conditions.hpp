// A program's conditions and decision diagrams, over what is known of one request.
//
// The rules are those of `runtime/engine`: Kleene's strong logic in `conditions.py`, diagrams and
// first-of questions in `questions.py`, bounds of unknown numbers in `bounds.py`; scores and bands
// are those of `runtime/signals/derived.py`.
#pragma once

#include "program.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

namespace routec {

// What a variable has: a number (of numbers and truth values), or an object.
struct Value {
    bool known = true;
    double number = 0.0;
    PyObject *object = nullptr;  // borrowed
};

// What is known of one request.
struct Known {
    std::vector<Value> fields;
    std::vector<Value> signals;
    double most_tokens = 0.0;
};

enum class Holds : unsigned char { no, yes, open };

// Answers at or below it are needs: it minus the index of the signal to ask.
constexpr int kNeed = -2;

inline bool same_text(PyObject *one, PyObject *other) {
    return one == other || (PyUnicode_Check(one) && PyUnicode_Compare(one, other) == 0);
}

// A number rounded to the decimal places of a score, as Python's `round` does it.
inline double rounded(double number) {
    if (!std::isfinite(number)) return number;
    if (number == std::floor(number) && std::fabs(number) < 0x1p52) return number;
    char *digits = PyOS_double_to_string(number, 'f', 12, 0, nullptr);
    if (digits == nullptr) throw PythonError{};
    const double nearest = PyOS_string_to_double(digits, nullptr, nullptr);
    PyMem_Free(digits);
    if (nearest == -1.0 && PyErr_Occurred() != nullptr) throw PythonError{};
    return nearest;
}

class Conditions {
  public:
    explicit Conditions(Part spec)
        : program_(spec),
          memo_(program_.nodes.size()),
          worked_(program_.terms.size()),
          seen_(program_.nodes.size()),
          met_(program_.variables.size()) {
        for (const Variable &variable : program_.variables)
            if (!variable.field && term(variable).derived >= 0) derived_.push_back(variable.index);
    }

    int nodes() const { return static_cast<int>(program_.nodes.size()); }
    int vertices() const { return static_cast<int>(program_.vertices.size()); }
    bool ends_within(int root, int low, int end) const {
        return program_.ends_within(root, low, end);
    }

    // Forget what was worked out; due for each request, and whenever something became known.
    void renew() { ++version_; }

    Holds node(int at, const Known &known) {
        const Node &node = program_.nodes[at];
        if (node.op < Op::negation) return atom(node, known);
        Memo &memo = memo_[at];
        if (memo.version == version_) return memo.holds;
        Holds holds;
        if (node.op == Op::negation) {
            const Holds inner = this->node(node.of[0], known);
            holds = inner == Holds::open ? inner : inner == Holds::yes ? Holds::no : Holds::yes;
        } else {
            const Holds settles = node.op == Op::disjunction ? Holds::yes : Holds::no;
            holds = settles == Holds::yes ? Holds::no : Holds::yes;
            for (const int of : node.of) {
                const Holds part = this->node(of, known);
                if (part == settles) {
                    holds = settles;
                    break;
                }
                if (part == Holds::open) holds = Holds::open;
            }
        }
        memo = {version_, holds};
        return holds;
    }

    // Of the signals that can still change an open condition, the one to ask first.
    int wanted(int node, const Known &known) { return first(node, -1, known); }

    // Likewise of a variable that is not known.
    int wanted_by(int variable, const Known &known) { return first(-1, variable, known); }

    // The outcome of the diagram below a vertex, of the guards as bits; or a need.
    int64_t walk(int at, bool guards, const Known &known) {
        int64_t bits = 0;
        while (true) {
            const Vertex &vertex = program_.vertices[at];
            switch (vertex.kind) {
                case Vertex::Kind::leaf:
                    if (!guards) return vertex.outcome;
                    return vertex.outcome < 0 ? bits : bits | int64_t{1} << vertex.outcome;
                case Vertex::Kind::act:
                    bits |= int64_t{1} << vertex.guard;
                    at = vertex.to[0];
                    break;
                case Vertex::Kind::test: {
                    const Holds holds = node(vertex.node, known);
                    if (holds == Holds::open) return kNeed - wanted(vertex.node, known);
                    at = vertex.to[holds == Holds::yes];
                    break;
                }
                case Vertex::Kind::by_label:
                case Vertex::Kind::bisect:
                    at = next(vertex, known);
                    if (at < 0) return kNeed - wanted_by(vertex.variable, known);
                    break;
            }
        }
    }

    int turn(int signal) const { return program_.terms[signal].turn; }

    // Gives a request the derived signals that follow from the rest; which they are, as bits.
    uint64_t derive(Known &known) {
        uint64_t bits = 0;
        for (const int at : derived_) {
            known.signals[at] = worked_out(at, known);
            if (known.signals[at].known) bits |= uint64_t{1} << program_.terms[at].derived;
        }
        return bits;
    }

  private:
    struct Memo {
        uint64_t version = 0;
        Holds holds = Holds::open;
    };
    struct Worked {
        uint64_t version = 0;
        Value value;
    };
    using Range = std::pair<double, double>;

    const Term &term(const Variable &variable) const { return program_.terms[variable.index]; }

    int first(int node, int variable, const Known &known) {
        ++visit_;
        int best = -1;
        nodes_.clear();
        variables_.clear();
        if (node >= 0) nodes_.push_back(node);
        if (variable >= 0) variables_.push_back(variable);
        while (!nodes_.empty() || !variables_.empty()) {
            if (!variables_.empty()) {
                const int at = variables_.back();
                variables_.pop_back();
                if (std::exchange(met_[at], visit_) == visit_ || read(at, known).known) continue;
                const Variable &of = program_.variables[at];
                const Term &term = this->term(of);
                if (term.derived < 0) {
                    if (best < 0 || term.turn < program_.terms[best].turn) best = of.index;
                    continue;
                }
                if (term.source >= 0) variables_.push_back(term.source);
                for (const Summand &one : term.summands)
                    (one.variable >= 0 ? variables_ : nodes_)
                        .push_back(one.variable >= 0 ? one.variable : one.node);
                continue;
            }
            const int at = nodes_.back();
            nodes_.pop_back();
            if (std::exchange(seen_[at], visit_) == visit_) continue;
            if (this->node(at, known) != Holds::open) continue;
            const Node &part = program_.nodes[at];
            if (part.variable < 0) {
                nodes_.insert(nodes_.end(), part.of.begin(), part.of.end());
            } else {
                variables_.push_back(part.variable);
            }
        }
        return best;
    }

    // Where a switch or a bisection leads; -1 where that depends on what is not known.
    int next(const Vertex &vertex, const Known &known) {
        const bool bisects = vertex.kind == Vertex::Kind::bisect;
        const Value value = read(vertex.variable, known);
        if (value.known)
            return vertex.to[bisects ? place(vertex, value.number) : label(vertex, value.object)];
        const Term &term = this->term(program_.variables[vertex.variable]);
        if (bisects) {
            const auto [low, high] = range(vertex.variable, known);
            const size_t begin = place(vertex, low), end = place(vertex, high);
            for (size_t at = begin + 1; at <= end; ++at)
                if (vertex.to[at] != vertex.to[begin]) return -1;
            return vertex.to[begin];
        }
        if (term.bands.empty()) return -1;
        const auto [begin, end] = bands(term, known);
        const int to = vertex.to[label(vertex, term.bands[begin].name)];
        for (size_t at = begin + 1; at <= end; ++at)
            if (vertex.to[label(vertex, term.bands[at].name)] != to) return -1;
        return to;
    }

    Value read(int variable, const Known &known) {
        const Variable &of = program_.variables[variable];
        if (of.field) return known.fields[of.index];
        if (of.opaque) return {false, 0.0, nullptr};
        return term(of).derived < 0 ? known.signals[of.index] : worked_out(of.index, known);
    }

    // A score or band, unknown where something that it reads is.
    Value worked_out(int at, const Known &known) {
        Worked &worked = worked_[at];
        if (worked.version == version_) return worked.value;
        const Term &term = program_.terms[at];
        Value value;
        if (term.score()) {
            double total = term.constant;
            for (const Summand &one : term.summands) {
                double part;
                if (one.variable >= 0) {
                    const Value of = read(one.variable, known);
                    value.known = of.known;
                    part = of.number;
                } else {
                    const Holds holds = node(one.node, known);
                    value.known = holds != Holds::open;
                    part = holds == Holds::yes;
                }
                if (!value.known) break;
                total += one.coefficient * part;
            }
            if (value.known) value.number = rounded(total);
        } else {
            const Value of = read(term.source, known);
            value.known = of.known;
            if (of.known) value.object = term.bands[band(term, of.number)].name;
        }
        worked = {version_, value};
        return value;
    }

    // Between which numbers a variable lies.
    Range range(int variable, const Known &known) {
        const Value value = read(variable, known);
        if (value.known) return {value.number, value.number};
        const Term &term = this->term(program_.variables[variable]);
        if (term.score()) return range(term, known);
        if (term.tokens) return {0.0, known.most_tokens};
        return {term.low, term.high};
    }

    Range range(const Term &score, const Known &known) {
        double low = score.constant, high = score.constant;
        for (const Summand &one : score.summands) {
            double least = 0.0, most = 1.0;
            if (one.variable >= 0) {
                std::tie(least, most) = range(one.variable, known);
            } else if (const Holds holds = node(one.node, known); holds != Holds::open) {
                least = most = holds == Holds::yes;
            }
            if (one.coefficient < 0.0) std::swap(least, most);
            // Nothing times infinity is nothing here.
            low += one.coefficient * (one.coefficient != 0.0 ? least : 0.0);
            high += one.coefficient * (one.coefficient != 0.0 ? most : 0.0);
        }
        return {rounded(low), rounded(high)};
    }

    // The first and the last of the bands that a value can still be in.
    std::pair<size_t, size_t> bands(const Term &term, const Known &known) {
        const auto [low, high] = range(term.source, known);
        return {band(term, low), band(term, high)};
    }

    static size_t band(const Term &term, double number) {
        for (size_t at = 0; at < term.bands.size(); ++at) {
            const Band &one = term.bands[at];
            if (!one.bounded || number < one.bound || (one.inclusive && number == one.bound))
                return at;
        }
        return term.bands.size() - 1;
    }

    static Holds truth(bool holds) { return holds ? Holds::yes : Holds::no; }

    Holds atom(const Node &node, const Known &known) {
        if (node.op == Op::constant) return truth(node.object == Py_True);
        const Value value = read(node.variable, known);
        if (!value.known) return open_atom(node, known);
        switch (node.op) {
            case Op::truth: return truth(value.number != 0.0);
            case Op::lt: return truth(value.number < node.number);
            case Op::le: return truth(value.number <= node.number);
            case Op::gt: return truth(value.number > node.number);
            case Op::ge: return truth(value.number >= node.number);
            case Op::eq: return truth(value.number == node.number);
            case Op::is: return truth(same_text(value.object, node.object));
            case Op::has: {
                const int found = PySet_Contains(value.object, node.object);
                if (found < 0) throw PythonError{};
                return truth(found == 1);
            }
            default: return truth(PySet_GET_SIZE(value.object) == 0);
        }
    }

    // Whether a test holds whatever the variable will be.
    Holds open_atom(const Node &node, const Known &known) {
        const Variable &of = program_.variables[node.variable];
        if (of.opaque || node.op == Op::truth) return Holds::open;
        const Term &term = this->term(of);
        if (term.tokens || term.score()) return bounded(node, range(node.variable, known));
        if (term.derived < 0) return Holds::open;
        const auto [begin, end] = bands(term, known);
        for (size_t at = begin; at <= end; ++at)
            if (same_text(term.bands[at].name, node.object))
                return begin == end ? Holds::yes : Holds::open;
        return Holds::no;
    }

    static Holds bounded(const Node &node, Range range) {
        const auto [low, high] = range;
        const double constant = node.number;
        switch (node.op) {
            case Op::lt: return high < constant ? Holds::yes : low >= constant ? Holds::no : Holds::open;
            case Op::le: return high <= constant ? Holds::yes : low > constant ? Holds::no : Holds::open;
            case Op::gt: return low > constant ? Holds::yes : high <= constant ? Holds::no : Holds::open;
            case Op::ge: return low >= constant ? Holds::yes : high < constant ? Holds::no : Holds::open;
            default: return low <= constant && constant <= high ? Holds::open : Holds::no;
        }
    }

    static size_t place(const Vertex &vertex, double number) {
        for (size_t at = 0; at < vertex.bounds.size(); ++at)
            if (number < vertex.bounds[at] || (vertex.inclusive[at] && number == vertex.bounds[at]))
                return at;
        return vertex.bounds.size();
    }

    static size_t label(const Vertex &vertex, PyObject *name) {
        for (size_t at = 0; at < vertex.labels.size(); ++at)
            if (same_text(name, vertex.labels[at])) return at;
        return vertex.labels.size();
    }

    Program program_;
    std::vector<int> derived_;  // signals that some variable reads
    std::vector<Memo> memo_;    // of nodes
    std::vector<Worked> worked_;
    uint64_t version_ = 1;
    std::vector<uint64_t> seen_, met_;  // nodes and variables, by visit
    uint64_t visit_ = 0;
    std::vector<int> nodes_, variables_;
};

}  // namespace routec
