// Writing JSON and times.
#pragma once

#include "spec.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace routec {

// First millisecond of the year 9999, from which on no time is taken.
constexpr int64_t kLatestMs = 253'370'764'800'000;

inline void append_integer(std::string &out, long long number) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, static_cast<size_t>(end - digits));
}

// Appends a string as JSON has it; what must be escaped is written by `dumps`.
inline void append_text(std::string &out, PyObject *text, PyObject *dumps) {
    const std::string_view bytes = utf8(text);
    bool plain = true;
    for (const char sign : bytes)
        plain &= static_cast<unsigned char>(sign) >= 0x20 && sign != '"' && sign != '\\';
    if (plain) {
        out += '"';
        out += bytes;
        out += '"';
        return;
    }
    const Ref written(need(PyObject_CallOneArg(dumps, text)));
    out += Part(written.get()).bytes();
}

inline void append_hex(std::string &out, const unsigned char *bytes, size_t count) {
    static constexpr char kDigits[] = "0123456789abcdef";
    for (size_t at = 0; at < count; ++at) {
        out += kDigits[bytes[at] >> 4];
        out += kDigits[bytes[at] & 15];
    }
}

// Days from 1970-01-01 to a day of the proleptic Gregorian calendar, from the year 1970 on.
inline int64_t days_to(int year, int month, int day) {
    static constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    const int past = year - 1;  // leap days up to the end of the year before
    const int leaps = past / 4 - past / 100 + past / 400 - 477;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return int64_t{365} * (year - 1970) + leaps + kBefore[month - 1] + (leap && month > 2) + day - 1;
}

// Milliseconds since the epoch of a time such as `2026-11-22T09:00:00Z`, with 3 or 6 digits after
// the seconds or none; -1 for anything else, of which some is RFC 3339 as well.
inline int64_t read_time(std::string_view text) {
    static constexpr std::string_view kForm = "0000-00-00T00:00:00";
    static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const size_t length = text.size();
    if ((length != 20 && length != 24 && length != 27) || text.back() != 'Z') return -1;
    const auto digit = [&](size_t at) { return text[at] >= '0' && text[at] <= '9'; };
    for (size_t at = 0; at < kForm.size(); ++at)
        if (kForm[at] == '0' ? !digit(at) : text[at] != kForm[at]) return -1;
    const auto number = [&](size_t from, size_t count) {
        int value = 0;
        for (size_t at = from; at < from + count; ++at) value = 10 * value + (text[at] - '0');
        return value;
    };
    int milliseconds = 0;
    if (length > 20) {
        if (text[19] != '.') return -1;
        for (size_t at = 20; at < length - 1; ++at)
            if (!digit(at)) return -1;
        milliseconds = number(20, 3);
    }
    const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
    const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
    if (year < 1970 || year > 9998 || month < 1 || month > 12 || day < 1) return -1;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > kDays[month - 1] + (leap && month == 2)) return -1;
    if (hour > 23 || minute > 59 || second > 59) return -1;
    return ((days_to(year, month, day) * 24 + hour) * 60 + minute) * 60'000 + second * 1000 +
           milliseconds;
}

// Appends a time from 1970 to 9998 in UTC, with milliseconds where there are some.
inline void append_time(std::string &out, int64_t time_ms) {
    const int64_t seconds = time_ms / 1000, days = seconds / 86'400;
    // Euclidean affine functions of years that begin in March: Neri and Schneider, 2022.
    const uint32_t n = 4 * static_cast<uint32_t>(days + 719'468) + 3;
    const uint32_t century = n / 146'097, of_century = n % 146'097 / 4;
    const uint64_t p = uint64_t{2'939'745} * (4 * of_century + 3);
    const uint32_t of_year = static_cast<uint32_t>(p % (uint64_t{1} << 32)) / 2'939'745 / 4;
    const uint32_t m = 2141 * of_year + 197'913;
    const bool next = of_year >= 306;
    const uint32_t year = 100 * century + static_cast<uint32_t>(p >> 32) + next;
    const uint32_t month = (m >> 16) - (next ? 12 : 0), day = (m & 0xffff) / 2141 + 1;
    const auto put = [&out](uint32_t value, int digits) {
        char text[4];
        for (int at = digits; at-- > 0; value /= 10) text[at] = static_cast<char>('0' + value % 10);
        out.append(text, static_cast<size_t>(digits));
    };
    const auto of_day = static_cast<uint32_t>(seconds % 86'400);
    put(year, 4), out += '-', put(month, 2), out += '-', put(day, 2), out += 'T';
    put(of_day / 3600, 2), out += ':', put(of_day / 60 % 60, 2), out += ':', put(of_day % 60, 2);
    if (const auto rest = static_cast<uint32_t>(time_ms % 1000)) out += '.', put(rest, 3);
    out += 'Z';
}

}  // namespace routec
