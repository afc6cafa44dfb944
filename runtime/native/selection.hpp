// Which model of a route answers a request: `runtime/selection.py`, where all can hold it.
#pragma once

#include "blake2b.hpp"
#include "request.hpp"

#include <algorithm>
#include <climits>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace routec {

class Route {
  public:
    Route(Part part, Py_ssize_t categories, Py_ssize_t fields)
        : automatic(part["automatic"].truth()),
          category(part["category"].index(-1, categories)),
          least(part["least"].number()),
          how_(read_how(part["pick"])),
          always_(part["always"].index(how_ == How::fixed ? 0 : -1, INT_MAX)),
          weights_(part["weights"].each([](Part one) { return one.number(); })),
          total_(part["total"].number()),
          salt_(part["salt"].text()),
          prices_(part["prices"].each([](Part one) {
              return std::pair<double, double>{one[0].number(), one[1].number()};
          })),
          usual_(part["usual"].number()),
          sticky_(part["sticky"].index(-1, fields)),
          own_(part["own"].truth()),
          limit_(part["limit"].integer()) {
        if (how_ == How::cheapest && prices_.empty()) throw part["prices"].beyond();
        if (how_ == How::drawn && weights_.empty()) throw part["weights"].beyond();
    }

    bool automatic;  // takes the request's category, else `category`
    int category;
    double least;  // smallest context of its models, in tokens

    // Whether the choice is made here: it is of a kind that is, and all models hold the request.
    bool chooses(const Request &request, const Known &known) const {
        if (how_ == How::in_python) return false;
        if (how_ == How::drawn && sticky_ >= 0 && !PyUnicode_Check(known.fields[sticky_].object))
            return false;
        if (std::isinf(least)) return true;
        const long long answer = std::max(this->answer(request), 0LL);
        return known.most_tokens + static_cast<double>(answer) <= least;
    }

    // Whether it is never made here.
    bool in_python() const { return how_ == How::in_python; }

    // Whether that depends on how many tokens the request has.
    bool counts() const { return how_ == How::cheapest; }

    // The place of the model among the candidates, of a choice that is made here.
    int choose(const Request &request, const Known &known, double tokens) const {
        if (how_ == How::fixed) return always_;
        if (how_ == How::cheapest) return cheapest(tokens, answer(request));
        std::string salted = salt_;
        salted += utf8(sticky_ < 0 ? request.id : known.fields[sticky_].object);
        unsigned char digest[8];
        Blake2b blake(sizeof digest);
        blake.update(salted);
        blake.finish(digest);
        uint64_t drawn = 0;
        for (const unsigned char byte : digest) drawn = drawn << 8 | byte;
        double point = static_cast<double>(drawn) / 0x1p64 * total_;
        int last = 0;
        for (size_t at = 0; at < weights_.size(); ++at) {
            if (point < weights_[at]) return static_cast<int>(at);
            point -= weights_[at];
            if (weights_[at] > 0.0) last = static_cast<int>(at);
        }
        // Rounding can carry the last point to the very end.
        return last;
    }

  private:
    enum class How : unsigned char { fixed, drawn, cheapest, in_python };

    // Most tokens of the answer; -1 for no limit.
    long long answer(const Request &request) const {
        return own_ ? limit_ : request.chat.max_tokens;
    }

    // Of equal ones the first.
    int cheapest(double tokens, long long answer) const {
        const double output = answer < 0 ? usual_ : static_cast<double>(answer);
        size_t best = 0;
        double least = price(0, tokens, output);
        for (size_t at = 1; at < prices_.size(); ++at) {
            const double other = price(at, tokens, output);
            if (other < least) {
                best = at;
                least = other;
            }
        }
        return static_cast<int>(best);
    }

    double price(size_t at, double tokens, double output) const {
        const auto &[input, answered] = prices_[at];
        return std::isinf(input) ? input : input * tokens + answered * output;
    }

    static How read_how(Part part) {
        if (part.text() == "fixed") return How::fixed;
        if (part.text() == "drawn") return How::drawn;
        if (part.text() == "cheapest") return How::cheapest;
        if (part.text() == "python") return How::in_python;
        throw part.beyond();
    }

    How how_;
    int always_;  // place of the model that it always is
    std::vector<double> weights_;
    double total_;
    std::string salt_;
    std::vector<std::pair<double, double>> prices_;  // of requests and answers
    double usual_;     // tokens of an answer without a limit
    int sticky_;       // field that draws depend on; -1 for the request's id
    bool own_;         // sets a limit itself, whatever the request says
    long long limit_;  // tokens of the answer then; -1 for no limit
};

}  // namespace routec
