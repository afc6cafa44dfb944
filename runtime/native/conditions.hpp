// A program's conditions and decision diagrams, over what is known of one request.
//
// The rules are those of `runtime/engine`: Kleene's strong logic in `conditions.py`, diagrams and
// first-of questions in `questions.py`, bounds of unknown numbers in `bounds.py`.
#pragma once

#include "spec.hpp"

#include <cstdint>
#include <string_view>
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

class Conditions {
  public:
    explicit Conditions(Part spec) {
        const Py_ssize_t fields = spec["fields"].size(), signals = spec["signals"].size();
        variables_ = spec["variables"].each([&](Part part) {
            const bool field = part[0].truth();
            if (field && part[2].truth()) throw part[2].beyond();
            return Variable{field, part[1].index(0, field ? fields : signals), part[2].truth()};
        });
        nodes_ = spec["nodes"].each(read_node);
        vertices_ = spec["vertices"].each(read_vertex);
        signals_ = spec["signals"].each([](Part part) {
            return Signal{part["tokens"].truth(), part["turn"].index(), part["low"].number(),
                          part["high"].number()};
        });
        memo_.resize(nodes_.size());
        seen_.resize(nodes_.size());
        for (size_t at = 0; at < nodes_.size(); ++at) check_node(spec, at);
        for (size_t at = 0; at < vertices_.size(); ++at) check_vertex(spec, at);
    }

    int nodes() const { return static_cast<int>(nodes_.size()); }
    int vertices() const { return static_cast<int>(vertices_.size()); }

    // Whether every outcome of the diagram below a vertex lies from `low` to below `end`.
    bool ends_within(int root, int low, int end) const {
        std::vector<bool> met(vertices_.size());
        std::vector<int> left{root};
        while (!left.empty()) {
            const int at = left.back();
            left.pop_back();
            if (met[at]) continue;
            met[at] = true;
            const Vertex &vertex = vertices_[at];
            left.insert(left.end(), vertex.to.begin(), vertex.to.end());
            if (vertex.kind == Kind::leaf && (vertex.outcome < low || vertex.outcome >= end))
                return false;
        }
        return true;
    }

    // Forget what was worked out; due for each request, and whenever something became known.
    void renew() { ++version_; }

    Holds node(int at, const Known &known) {
        const Node &node = nodes_[at];
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
    int wanted(int at, const Known &known) {
        ++visit_;
        int best = -1;
        stack_.assign(1, at);
        while (!stack_.empty()) {
            at = stack_.back();
            stack_.pop_back();
            if (seen_[at] == visit_) continue;
            seen_[at] = visit_;
            if (node(at, known) != Holds::open) continue;
            const Node &part = nodes_[at];
            if (part.variable < 0) {
                stack_.insert(stack_.end(), part.of.begin(), part.of.end());
                continue;
            }
            const int signal = variables_[part.variable].index;
            if (best < 0 || signals_[signal].turn < signals_[best].turn) best = signal;
        }
        return best;
    }

    // The outcome of the diagram below a vertex, of the guards as bits; or a need.
    int64_t walk(int at, bool guards, const Known &known) {
        int64_t bits = 0;
        while (true) {
            const Vertex &vertex = vertices_[at];
            switch (vertex.kind) {
                case Kind::leaf:
                    if (!guards) return vertex.outcome;
                    return vertex.outcome < 0 ? bits : bits | int64_t{1} << vertex.outcome;
                case Kind::act:
                    bits |= int64_t{1} << vertex.guard;
                    at = vertex.to[0];
                    break;
                case Kind::test: {
                    const Holds holds = node(vertex.node, known);
                    if (holds == Holds::open) return kNeed - wanted(vertex.node, known);
                    at = vertex.to[holds == Holds::yes];
                    break;
                }
                case Kind::by_label: {
                    const Value value = read(vertex.variable, known);
                    if (!value.known) return kNeed - variables_[vertex.variable].index;
                    at = vertex.to.back();
                    for (size_t label = 0; label < vertex.labels.size(); ++label)
                        if (same_text(value.object, vertex.labels[label])) {
                            at = vertex.to[label];
                            break;
                        }
                    break;
                }
                case Kind::bisect: {
                    const auto [low, high] = range(vertex.variable, known);
                    const size_t first = place(vertex, low), last = place(vertex, high);
                    for (size_t other = first + 1; other <= last; ++other)
                        if (vertex.to[other] != vertex.to[first])
                            return kNeed - variables_[vertex.variable].index;
                    at = vertex.to[first];
                    break;
                }
            }
        }
    }

    int turn(int signal) const { return signals_[signal].turn; }

  private:
    enum class Op : unsigned char {
        constant, truth, lt, le, gt, ge, eq, is, has, empty, negation, conjunction, disjunction
    };
    enum class Kind : unsigned char { leaf, act, test, by_label, bisect };

    struct Variable {
        bool field;
        int index;    // of the field or the signal
        bool opaque;  // a label or score, which is never known here
    };
    struct Node {
        Op op;
        int variable;
        double number;
        PyObject *object;
        std::vector<int> of;
    };
    struct Vertex {
        Kind kind;
        std::vector<int> to;
        int node, variable, guard, outcome;
        std::vector<PyObject *> labels;
        std::vector<double> bounds;
        std::vector<bool> inclusive;
    };
    struct Signal {
        bool tokens;
        int turn;
        double low, high;  // between which it lies while it is unknown
    };
    struct Memo {
        uint64_t version = 0;
        Holds holds = Holds::open;
    };
    static Node read_node(Part part) {
        static constexpr std::pair<std::string_view, Op> kOps[] = {
            {"const", Op::constant}, {"truth", Op::truth},       {"lt", Op::lt},
            {"le", Op::le},          {"gt", Op::gt},             {"ge", Op::ge},
            {"eq", Op::eq},          {"is", Op::is},             {"has", Op::has},
            {"empty", Op::empty},    {"not", Op::negation},      {"and", Op::conjunction},
            {"or", Op::disjunction}};
        Node node{Op::constant, part[1].index(), 0.0, part[2].object(), part[3].indices()};
        if (PyFloat_Check(node.object)) node.number = PyFloat_AS_DOUBLE(node.object);
        const std::string_view wanted = part[0].text();
        for (const auto &[name, op] : kOps)
            if (name == wanted) {
                node.op = op;
                return node;
            }
        PyErr_Format(PyExc_ValueError, "unknown condition: %R", part.object());
        throw PythonError{};
    }

    static Vertex read_vertex(Part part) {
        static constexpr std::pair<std::string_view, Kind> kKinds[] = {{"leaf", Kind::leaf},
                                                                       {"act", Kind::act},
                                                                       {"test", Kind::test},
                                                                       {"switch", Kind::by_label},
                                                                       {"bisect", Kind::bisect}};
        const auto truth = [](Part one) { return one.truth(); };
        Vertex vertex{Kind::leaf,
                      part[1].indices(),
                      part[2].index(),
                      part[3].index(),
                      part[4].index(),
                      part[5].index(),
                      part[6].each([](Part one) { return one.object(); }),
                      part[7].each([](Part one) { return one.number(); }),
                      {}};
        const auto inclusive = part[8].each(truth);
        vertex.inclusive.assign(inclusive.begin(), inclusive.end());
        const std::string_view wanted = part[0].text();
        for (const auto &[name, kind] : kKinds)
            if (name == wanted) {
                vertex.kind = kind;
                return vertex;
            }
        PyErr_Format(PyExc_ValueError, "unknown vertex: %R", part.object());
        throw PythonError{};
    }

    enum class Holding : unsigned char { number, text, set, nothing };

    // What a variable has once it is known; nothing where it never is, here.
    Holding holding(Part spec, int variable) const {
        const Variable &of = variables_[variable];
        if (of.opaque) return Holding::nothing;
        if (of.field) {
            const std::string_view type = spec["fields"][of.index][1].text();
            if (type == "set") return Holding::set;
            return type == "string" || type == "enum" ? Holding::text : Holding::number;
        }
        const std::string_view kind = spec["signals"][of.index]["kind"].text();
        for (const std::string_view number : {"turns", "has_tools", "has_image", "hour", "tokens"})
            if (kind == number) return Holding::number;
        return kind == "weekday" ? Holding::text : Holding::nothing;
    }

    // Wrong data must be an error now, not a crash when a request comes.
    void check_node(Part spec, size_t at) const {
        const Node &node = nodes_[at];
        bool good = true;
        for (const int of : node.of) good &= of >= 0 && of < static_cast<int>(at);
        if (node.op >= Op::negation) {
            good &= node.variable < 0 && (node.op != Op::negation || node.of.size() == 1);
        } else if (node.op != Op::constant) {
            good &= node.of.empty() && node.variable >= 0 &&
                    node.variable < static_cast<int>(variables_.size());
            if (good) {
                const Holding has = holding(spec, node.variable);
                const bool set = node.op == Op::has || node.op == Op::empty;
                const Holding wanted = set                  ? Holding::set
                                       : node.op == Op::is ? Holding::text
                                                           : Holding::number;
                good = has == wanted || has == Holding::nothing;
                if (node.op == Op::has || node.op == Op::is) good &= PyUnicode_Check(node.object) != 0;
            }
        }
        if (!good) throw spec["nodes"][static_cast<int>(at)].beyond();
    }

    void check_vertex(Part spec, size_t at) const {
        const Vertex &vertex = vertices_[at];
        bool good = true;
        for (const int to : vertex.to) good &= to >= 0 && to < static_cast<int>(at);
        const size_t targets = vertex.to.size();
        const bool reads =
            vertex.variable >= 0 && vertex.variable < static_cast<int>(variables_.size());
        switch (vertex.kind) {
            case Kind::leaf: break;
            case Kind::act: good &= targets == 1 && vertex.guard >= 0 && vertex.guard < 62; break;
            case Kind::test: good &= targets == 2 && vertex.node >= 0 && vertex.node < nodes(); break;
            case Kind::by_label:
                good &= reads && targets == vertex.labels.size() + 1;
                if (good) {
                    const Holding has = holding(spec, vertex.variable);
                    good = has == Holding::text || has == Holding::nothing;
                }
                break;
            case Kind::bisect:
                good &= reads && targets == vertex.bounds.size() + 1 &&
                        vertex.inclusive.size() == vertex.bounds.size();
                if (good) {
                    const Holding has = holding(spec, vertex.variable);
                    good = has == Holding::number || has == Holding::nothing;
                }
                break;
        }
        if (!good) throw spec["vertices"][static_cast<int>(at)].beyond();
    }

    Value read(int variable, const Known &known) const {
        const Variable &of = variables_[variable];
        if (of.field) return known.fields[of.index];
        if (of.opaque) return {false, 0.0, nullptr};
        return known.signals[of.index];
    }

    std::pair<double, double> range(int variable, const Known &known) const {
        const Value value = read(variable, known);
        if (value.known) return {value.number, value.number};
        const Signal &signal = signals_[variables_[variable].index];
        if (signal.tokens) return {0.0, known.most_tokens};
        return {signal.low, signal.high};
    }

    static Holds truth(bool holds) { return holds ? Holds::yes : Holds::no; }

    Holds atom(const Node &node, const Known &known) const {
        if (node.op == Op::constant) return truth(node.object == Py_True);
        const Value value = read(node.variable, known);
        if (!value.known) {
            const Variable &of = variables_[node.variable];
            if (of.opaque || !signals_[of.index].tokens) return Holds::open;
            return bounded(node, known.most_tokens);
        }
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

    // Whether a test of a number from 0 to `most` holds whatever it is.
    static Holds bounded(const Node &node, double most) {
        const double constant = node.number;
        switch (node.op) {
            case Op::lt: return most < constant ? Holds::yes : 0.0 >= constant ? Holds::no : Holds::open;
            case Op::le: return most <= constant ? Holds::yes : 0.0 > constant ? Holds::no : Holds::open;
            case Op::gt: return 0.0 > constant ? Holds::yes : most <= constant ? Holds::no : Holds::open;
            case Op::ge: return 0.0 >= constant ? Holds::yes : most < constant ? Holds::no : Holds::open;
            default: return 0.0 <= constant && constant <= most ? Holds::open : Holds::no;
        }
    }

    static size_t place(const Vertex &vertex, double number) {
        for (size_t at = 0; at < vertex.bounds.size(); ++at)
            if (number < vertex.bounds[at] || (vertex.inclusive[at] && number == vertex.bounds[at]))
                return at;
        return vertex.bounds.size();
    }

    std::vector<Variable> variables_;
    std::vector<Node> nodes_;
    std::vector<Vertex> vertices_;
    std::vector<Signal> signals_;
    std::vector<Memo> memo_;
    uint64_t version_ = 1;
    std::vector<uint64_t> seen_;
    uint64_t visit_ = 0;
    std::vector<int> stack_;
};

}  // namespace routec
