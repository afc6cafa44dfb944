// What is counted of a batch.
#pragma once

#include "signals.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace routec {

struct Tally {
    Tally(size_t routes, size_t categories, size_t signals)
        : routed(routes), looked_up(categories), counted(signals) {}

    std::vector<long long> routed;                    // by route
    std::vector<std::array<long long, 3>> looked_up;  // by category: misses, hits, spared
    std::vector<long long> counted;                   // by signal, of numbers of tokens
    long long finished = 0, cached = 0, rejected = 0;
    std::array<long long, kScopes> scanned{};  // requests, by the stretch of text
    std::array<double, kScopes> scanning_s{};
    double reading_s = 0.0, counting_s = 0.0;
    int64_t latest_ms = -1;
};

}  // namespace routec
