// The data of a program: what its conditions, diagrams and derived signals say.
#pragma once

#include "spec.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace routec {

struct Variable {
    bool field;
    int index;    // of the field or the signal
    bool opaque;  // a label or score, which is never known here
};

enum class Op : unsigned char {
    constant, truth, lt, le, gt, ge, eq, is, has, empty, negation, conjunction, disjunction
};

struct Node {
    Op op;
    int variable;
    double number;
    PyObject *object;
    std::vector<int> of;
};

struct Vertex {
    enum class Kind : unsigned char { leaf, act, test, by_label, bisect };

    Kind kind;
    std::vector<int> to;
    int node, variable, guard, outcome;
    std::vector<PyObject *> labels;
    std::vector<double> bounds;
    std::vector<bool> inclusive;
};

// A coefficient times a variable, or times a node that counts 0 or 1.
struct Summand {
    double coefficient;
    int variable, node;  // -1 for none
};

// Of the values below `bound`, or at it, where it is inclusive; the last has none.
struct Band {
    PyObject *name;
    bool bounded;
    double bound;
    bool inclusive;
};

// What is said of a signal here; the rest is in `signals.hpp`.
struct Term {
    bool tokens;
    int turn;
    double low, high;  // between which it lies while it is unknown
    double constant;   // of a score
    std::vector<Summand> summands;
    int source;  // variable that bands divide; -1 for none
    std::vector<Band> bands;
    int derived;  // place among those that are worked out from others; -1 for none

    bool score() const { return derived >= 0 && source < 0; }
};

// The places of the bits that hold which derived signals are known.
constexpr int kMostDerived = 64;

struct Program {
    std::vector<Variable> variables;
    std::vector<Node> nodes;
    std::vector<Vertex> vertices;
    std::vector<Term> terms;  // of the signals

    explicit Program(Part spec) {
        const Py_ssize_t fields = spec["fields"].size(), signals = spec["signals"].size();
        variables = spec["variables"].each([&](Part part) {
            const bool field = part[0].truth();
            if (field && part[2].truth()) throw part[2].beyond();
            return Variable{field, part[1].index(0, field ? fields : signals), part[2].truth()};
        });
        nodes = spec["nodes"].each(read_node);
        vertices = spec["vertices"].each(read_vertex);
        terms = spec["signals"].each(read_term);
        for (size_t at = 0; at < nodes.size(); ++at) check_node(spec, at);
        for (size_t at = 0; at < vertices.size(); ++at) check_vertex(spec, at);
        for (size_t at = 0; at < terms.size(); ++at) check_term(spec, at);
        check_depth(spec);
    }

    // Whether every outcome of the diagram below a vertex lies from `low` to below `end`.
    bool ends_within(int root, int low, int end) const {
        std::vector<bool> met(vertices.size());
        std::vector<int> left{root};
        while (!left.empty()) {
            const int at = left.back();
            left.pop_back();
            if (met[at]) continue;
            met[at] = true;
            const Vertex &vertex = vertices[at];
            left.insert(left.end(), vertex.to.begin(), vertex.to.end());
            if (vertex.kind == Vertex::Kind::leaf && (vertex.outcome < low || vertex.outcome >= end))
                return false;
        }
        return true;
    }

  private:
    // Most conditions and derived signals inside each other.
    static constexpr int kDeepest = 1000;

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
        using Kind = Vertex::Kind;
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

    static Term read_term(Part part) {
        return {part["tokens"].truth(),
                part["turn"].index(),
                part["low"].number(),
                part["high"].number(),
                part["constant"].number(),
                part["summands"].each([](Part one) {
                    return Summand{one[0].number(), one[1].index(), one[2].index()};
                }),
                part["source"].index(),
                part["bands"].each([](Part one) {
                    const bool bounded = !one[1].none();
                    return Band{one[0].string(), bounded, bounded ? one[1].number() : 0.0,
                                one[2].truth()};
                }),
                part["derived"].index(-1, kMostDerived)};
    }

    // Wrong data must be an error now, not a crash when a request comes.

    enum class Holding : unsigned char { number, text, set, nothing };

    // What a variable has once it is known; nothing where it never is, here.
    Holding holding(Part spec, int variable) const {
        const Variable &of = variables[variable];
        if (of.opaque) return Holding::nothing;
        if (of.field) {
            const std::string_view type = spec["fields"][of.index][1].text();
            if (type == "set") return Holding::set;
            return type == "string" || type == "enum" ? Holding::text : Holding::number;
        }
        const std::string_view kind = spec["signals"][of.index]["kind"].text();
        for (const std::string_view number : {"turns", "has_tools", "has_image", "hour", "tokens",
                                              "keyword", "regex", "score"})
            if (kind == number) return Holding::number;
        return kind == "weekday" || kind == "bands" ? Holding::text : Holding::nothing;
    }

    bool has(Part spec, int variable, Holding wanted) const {
        if (variable < 0 || variable >= static_cast<int>(variables.size())) return false;
        const Holding found = holding(spec, variable);
        return found == wanted || found == Holding::nothing;
    }

    void check_node(Part spec, size_t at) const {
        const Node &node = nodes[at];
        bool good = true;
        for (const int of : node.of) good &= of >= 0 && of < static_cast<int>(at);
        if (node.op >= Op::negation) {
            good &= node.variable < 0 && (node.op != Op::negation || node.of.size() == 1);
        } else if (node.op != Op::constant) {
            const bool set = node.op == Op::has || node.op == Op::empty;
            const Holding wanted = set                  ? Holding::set
                                   : node.op == Op::is ? Holding::text
                                                       : Holding::number;
            good &= node.of.empty() && has(spec, node.variable, wanted);
            if (node.op == Op::has || node.op == Op::is) good &= PyUnicode_Check(node.object) != 0;
        }
        if (!good) throw spec["nodes"][static_cast<int>(at)].beyond();
    }

    void check_vertex(Part spec, size_t at) const {
        const Vertex &vertex = vertices[at];
        bool good = true;
        for (const int to : vertex.to) good &= to >= 0 && to < static_cast<int>(at);
        const size_t targets = vertex.to.size();
        switch (vertex.kind) {
            case Vertex::Kind::leaf: break;
            case Vertex::Kind::act:
                good &= targets == 1 && vertex.guard >= 0 && vertex.guard < 62;
                break;
            case Vertex::Kind::test:
                good &= targets == 2 && vertex.node >= 0 &&
                        vertex.node < static_cast<int>(nodes.size());
                break;
            case Vertex::Kind::by_label:
                good &= targets == vertex.labels.size() + 1 &&
                        has(spec, vertex.variable, Holding::text);
                break;
            case Vertex::Kind::bisect:
                good &= targets == vertex.bounds.size() + 1 &&
                        vertex.inclusive.size() == vertex.bounds.size() &&
                        has(spec, vertex.variable, Holding::number);
                break;
        }
        if (!good) throw spec["vertices"][static_cast<int>(at)].beyond();
    }

    void check_term(Part spec, size_t at) const {
        const Term &term = terms[at];
        const Part part = spec["signals"][static_cast<int>(at)];
        const std::string_view kind = part["kind"].text();
        const bool bands = kind == "bands";
        bool good = (term.derived >= 0) == (bands || kind == "score");
        good &= term.tokens == (kind == "tokens");
        good &= (term.source >= 0) == bands && term.bands.empty() != bands;
        if (bands) good &= has(spec, term.source, Holding::number);
        good &= kind == "score" || term.summands.empty();
        for (const Summand &one : term.summands) {
            good &= (one.variable < 0) != (one.node < 0);
            good &= one.node < static_cast<int>(nodes.size());
            if (one.variable >= 0) good &= has(spec, one.variable, Holding::number);
        }
        for (size_t other = 0; other < at; ++other)
            good &= term.derived < 0 || terms[other].derived != term.derived;
        if (!good) throw part.beyond();
    }

    // Refuses what evaluation could not walk: too deep, or a signal that reads itself.
    void check_depth(Part spec) const {
        std::vector<int> of_nodes(nodes.size()), of_terms(terms.size());
        for (size_t at = 0; at < nodes.size(); ++at)
            if (depth_of_node(static_cast<int>(at), of_nodes, of_terms, 0) > kDeepest)
                throw spec["nodes"][static_cast<int>(at)].beyond();
        for (size_t at = 0; at < terms.size(); ++at)
            if (depth_of_term(static_cast<int>(at), of_nodes, of_terms, 0) > kDeepest)
                throw spec["signals"][static_cast<int>(at)].beyond();
    }

    // Levels below, more than `kDeepest` where there is no end to them; 0 stands for not told yet.
    int depth_of_node(int at, std::vector<int> &of_nodes, std::vector<int> &of_terms,
                      int above) const {
        if (of_nodes[at] != 0 || above > kDeepest) return std::max(of_nodes[at], above);
        int deepest = 0;
        const Node &node = nodes[at];
        if (node.op != Op::constant && node.op < Op::negation)
            deepest = depth_of_variable(node.variable, of_nodes, of_terms, above);
        for (const int of : node.of)
            deepest = std::max(deepest, depth_of_node(of, of_nodes, of_terms, above + 1));
        return of_nodes[at] = deepest + 1;
    }

    int depth_of_variable(int at, std::vector<int> &of_nodes, std::vector<int> &of_terms,
                          int above) const {
        const Variable &variable = variables[at];
        return variable.field ? 0 : depth_of_term(variable.index, of_nodes, of_terms, above + 1);
    }

    int depth_of_term(int at, std::vector<int> &of_nodes, std::vector<int> &of_terms,
                      int above) const {
        if (of_terms[at] != 0 || above > kDeepest) return std::max(of_terms[at], above);
        const Term &term = terms[at];
        int deepest = 0;
        if (term.source >= 0)
            deepest = depth_of_variable(term.source, of_nodes, of_terms, above);
        for (const Summand &one : term.summands)
            deepest = std::max(
                deepest, one.variable >= 0
                             ? depth_of_variable(one.variable, of_nodes, of_terms, above)
                             : depth_of_node(one.node, of_nodes, of_terms, above + 1));
        return of_terms[at] = deepest + 1;
    }
};

}  // namespace routec
