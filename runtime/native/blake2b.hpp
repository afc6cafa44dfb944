// BLAKE2b without a key (RFC 7693), for digests that hashlib gives as well.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace routec {

class Blake2b {
  public:
    // A digest of `size` bytes, 1 to 64.
    explicit Blake2b(unsigned size) : size_(size) {
        std::memcpy(state_, kStart, sizeof state_);
        state_[0] ^= 0x01010000u ^ size;
    }

    void update(const void *data, size_t length) {
        const auto *from = static_cast<const unsigned char *>(data);
        while (length > 0) {
            // The last block is kept back: only `finish` knows that it is the last.
            if (held_ == sizeof block_) {
                count_ += held_;
                compress(block_, false);
                held_ = 0;
            }
            if (held_ == 0 && length > sizeof block_) {
                count_ += sizeof block_;
                compress(from, false);
                from += sizeof block_;
                length -= sizeof block_;
                continue;
            }
            const size_t taken = length < sizeof block_ - held_ ? length : sizeof block_ - held_;
            std::memcpy(block_ + held_, from, taken);
            held_ += taken;
            from += taken;
            length -= taken;
        }
    }
    void update(std::string_view text) { update(text.data(), text.size()); }

    // Writes the digest; nothing may be added any more.
    void finish(unsigned char *digest) {
        count_ += held_;
        std::memset(block_ + held_, 0, sizeof block_ - held_);
        compress(block_, true);
        unsigned char bytes[64];
        for (int word = 0; word < 8; ++word)
            for (int byte = 0; byte < 8; ++byte)
                bytes[8 * word + byte] = static_cast<unsigned char>(state_[word] >> (8 * byte));
        std::memcpy(digest, bytes, size_);
    }

  private:
    static constexpr uint64_t kStart[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    static constexpr unsigned char kOrder[12][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
        {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
        {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
        {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
        {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
        {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
        {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
        {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
        {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3}};

    static uint64_t turned(uint64_t word, int bits) { return word >> bits | word << (64 - bits); }

    static uint64_t word_at(const unsigned char *from) {
        uint64_t word = 0;
        for (int byte = 7; byte >= 0; --byte) word = word << 8 | from[byte];
        return word;
    }

    void compress(const unsigned char *block, bool last) {
        uint64_t m[16], v[16];
        for (int at = 0; at < 16; ++at) m[at] = word_at(block + 8 * at);
        for (int at = 0; at < 8; ++at) v[at] = state_[at], v[at + 8] = kStart[at];
        v[12] ^= count_;
        if (last) v[14] = ~v[14];
        const auto mix = [&v](int a, int b, int c, int d, uint64_t x, uint64_t y) {
            v[a] += v[b] + x;
            v[d] = turned(v[d] ^ v[a], 32);
            v[c] += v[d];
            v[b] = turned(v[b] ^ v[c], 24);
            v[a] += v[b] + y;
            v[d] = turned(v[d] ^ v[a], 16);
            v[c] += v[d];
            v[b] = turned(v[b] ^ v[c], 63);
        };
#pragma GCC unroll 12
        for (int round = 0; round < 12; ++round) {
            const unsigned char *s = kOrder[round];
            mix(0, 4, 8, 12, m[s[0]], m[s[1]]);
            mix(1, 5, 9, 13, m[s[2]], m[s[3]]);
            mix(2, 6, 10, 14, m[s[4]], m[s[5]]);
            mix(3, 7, 11, 15, m[s[6]], m[s[7]]);
            mix(0, 5, 10, 15, m[s[8]], m[s[9]]);
            mix(1, 6, 11, 12, m[s[10]], m[s[11]]);
            mix(2, 7, 8, 13, m[s[12]], m[s[13]]);
            mix(3, 4, 9, 14, m[s[14]], m[s[15]]);
        }
        for (int at = 0; at < 8; ++at) state_[at] ^= v[at] ^ v[at + 8];
    }

    uint64_t state_[8];
    uint64_t count_ = 0;  // of at most 2^64 bytes
    unsigned char block_[128];
    size_t held_ = 0;
    unsigned size_;
};

}  // namespace routec
