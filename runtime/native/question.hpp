// The questions of a decision: `runtime/engine/questions.py`.
#pragma once

#include "conditions.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace routec {

// One of the questions of a decision: a diagram, or the first of some cases.
class Question {
  public:
    // Its outcomes lie from `low` to below `end`.
    Question(Part spec, const Conditions &conditions, int low, Py_ssize_t end)
        : root_(spec["root"].index(-1, conditions.vertices())),
          cases_(spec["cases"].each([&](Part part) {
              return std::pair<int, int>{part[0].index(0, conditions.nodes()),
                                         part[1].index(low, end)};
          })),
          otherwise_(spec["otherwise"].index(-1, 0)) {
        if (root_ >= 0 && !conditions.ends_within(root_, low, static_cast<int>(end)))
            throw spec["root"].beyond();
    }

    int ask(Conditions &conditions, const Known &known) const {
        if (root_ >= 0) return static_cast<int>(conditions.walk(root_, false, known));
        for (const auto &[node, outcome] : cases_) {
            const Holds holds = conditions.node(node, known);
            if (holds == Holds::yes) return outcome;
            if (holds == Holds::open) return kNeed - conditions.wanted(node, known);
        }
        return otherwise_;
    }

    // The guards that act, as bits, up to the first that rejects; outcomes say whether one does.
    int64_t acting(Conditions &conditions, const Known &known) const {
        if (root_ >= 0) return conditions.walk(root_, true, known);
        int64_t bits = 0;
        for (size_t at = 0; at < cases_.size(); ++at) {
            const Holds holds = conditions.node(cases_[at].first, known);
            if (holds == Holds::open) return kNeed - conditions.wanted(cases_[at].first, known);
            if (holds == Holds::no) continue;
            bits |= int64_t{1} << at;
            if (cases_[at].second != 0) break;
        }
        return bits;
    }

  private:
    int root_;
    std::vector<std::pair<int, int>> cases_;
    int otherwise_;
};

}  // namespace routec
