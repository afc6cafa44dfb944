// The declared token estimate of `routec.safety.tokens`, in one pass over the text.
//
// 64 characters at a time become one bit mask for each class of character, in which the runs
// are runs of ones: the tokens of all runs of a class are counted with a few shifts, whatever
// their number. Between blocks only what is open at the last character is kept.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace {

constexpr int BLOCK = 64;

// A class of character is one bit of a byte. White space has SPACE, the blank BLANK as well.
enum Class : std::uint8_t {
    LETTER = 1 << 0,
    DIGIT = 1 << 1,
    SIGN = 1 << 2,
    OTHER = 1 << 3,
    SPACE = 1 << 4,
    BLANK = 1 << 5,
    IDEOGRAPH = 1 << 6,
    SYMBOL = 1 << 7,
};

constexpr int LETTERS_PER_TOKEN = 7;
constexpr int DIGITS_PER_TOKEN = 3;
constexpr int SIGNS_PER_TOKEN = 2;
constexpr int OTHERS_PER_TOKEN = 2;
constexpr int TOKENS_PER_SYMBOL = 2;

struct Range {
    Py_UCS4 first, last;
};
constexpr Range IDEOGRAPHS[] = {{0x3040, 0x30ff}, {0x3400, 0x4dbf},   {0x4e00, 0x9fff},
                                {0xac00, 0xd7af}, {0xf900, 0xfaff},   {0x20000, 0x323af}};
constexpr Range SYMBOLS[] = {{0x2010, 0x2027}, {0x2030, 0x205e}, {0x2070, 0x2bff},
                             {0x3001, 0x303f}, {0xff00, 0xffef}, {0x1f000, 0x1faff}};

template <std::size_t N>
bool within(Py_UCS4 code, const Range (&ranges)[N]) {
    for (const Range &range : ranges)
        if (range.first <= code && code <= range.last) return true;
    return false;
}

std::uint8_t class_of(Py_UCS4 code) {
    if (code == ' ') return SPACE | BLANK;
    if (Py_UNICODE_ISSPACE(code)) return SPACE;
    if (code < 0x80) {
        if (code >= '0' && code <= '9') return DIGIT;
        const Py_UCS4 lower = code | 0x20;
        return lower >= 'a' && lower <= 'z' ? LETTER : SIGN;
    }
    if (within(code, IDEOGRAPHS)) return IDEOGRAPH;
    return within(code, SYMBOLS) ? SYMBOL : OTHER;
}

// The classes of the Basic Multilingual Plane: nearly every character is of it.
const auto CLASSES = [] {
    std::array<std::uint8_t, 0x10000> classes;
    for (Py_UCS4 code = 0; code < classes.size(); ++code) classes[code] = class_of(code);
    return classes;
}();

inline std::uint8_t looked_up(Py_UCS1 code) { return CLASSES[code]; }
inline std::uint8_t looked_up(Py_UCS2 code) { return CLASSES[code]; }
inline std::uint8_t looked_up(Py_UCS4 code) {
    return code < CLASSES.size() ? CLASSES[code] : class_of(code);
}

inline int ones(std::uint64_t mask) { return __builtin_popcountll(mask); }

// The runs of one class, of which each begun piece of SIZE characters is a token.
template <int SIZE>
class Runs {
  public:
    // Returns how many tokens begin in a block, given which of its characters are of the class.
    int begun(std::uint64_t mask) {
        std::uint64_t starts = mask & ~(mask << 1);
        if (next_ >= 0) {  // a run goes on, if the first character is of the class
            starts &= ~std::uint64_t{1};
            const std::uint64_t up_to_next = (std::uint64_t{2} << next_) - 1;
            if ((mask & up_to_next) == up_to_next) starts |= std::uint64_t{1} << next_;
        }
        // Where a character and the SIZE before it are of the class.
        std::uint64_t long_enough = mask;
        for (int shift = 1; shift <= SIZE; ++shift) long_enough &= mask << shift;
        std::uint64_t all = starts;
        while ((starts = (starts << SIZE) & long_enough)) all |= starts;
        const bool open = mask >> (BLOCK - 1);
        // The last start is of the open run: a run that fills the block has one in it.
        next_ = open ? SIZE - 1 - __builtin_clzll(all) : -1;
        return ones(all);
    }

  private:
    // The place in the next block where a token begins if the run that is open goes on so far;
    // -1: no run is open.
    int next_ = -1;
};

// The runs of white space: a token each, but for the lone blank.
class Spaces {
  public:
    int counted(std::uint64_t spaces, std::uint64_t blanks) {
        const std::uint64_t starts = spaces & ~(spaces << 1 | std::uint64_t{open_});
        const std::uint64_t alone = starts & blanks & ~(spaces >> 1);
        // A blank at the very end counts as none until what follows it is known.
        const int late = blank_ & static_cast<int>(spaces & 1);
        open_ = spaces >> (BLOCK - 1);
        blank_ = static_cast<int>(alone >> (BLOCK - 1));
        return late + ones(starts) - ones(alone);
    }

  private:
    unsigned open_ = 0;  // 1: the last character was white space
    int blank_ = 0;      // 1: it was a blank, with none before it
};

class Estimate {
  public:
    // Takes the classes of BLOCK characters in; 0 is the class of no character.
    template <bool ASCII>
    void add(const std::uint8_t (&classes)[BLOCK]) {
        tokens_ += letters_.begun(mask(classes, LETTER));
        tokens_ += digits_.begun(mask(classes, DIGIT));
        tokens_ += signs_.begun(mask(classes, SIGN));
        tokens_ += spaces_.counted(mask(classes, SPACE), mask(classes, BLANK));
        if constexpr (!ASCII) {
            tokens_ += others_.begun(mask(classes, OTHER));
            tokens_ += ones(mask(classes, IDEOGRAPH));
            tokens_ += TOKENS_PER_SYMBOL * ones(mask(classes, SYMBOL));
        }
    }

    Py_ssize_t tokens() const { return tokens_; }

  private:
    // Bit i says whether character i is of a class.
    static std::uint64_t mask(const std::uint8_t (&classes)[BLOCK], Class wanted) {
        const int bit = __builtin_ctz(wanted);
        std::uint64_t mask = 0;
        for (int i = 0; i < BLOCK; i += 8) {
            std::uint64_t eight;
            std::memcpy(&eight, classes + i, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
            eight = __builtin_bswap64(eight);
#endif
            eight = eight >> bit & 0x0101010101010101;
            // The product's top byte has the lowest bit of byte k as its bit k.
            mask |= (eight * 0x0102040810204080 >> 56) << i;
        }
        return mask;
    }

    Runs<LETTERS_PER_TOKEN> letters_;
    Runs<DIGITS_PER_TOKEN> digits_;
    Runs<SIGNS_PER_TOKEN> signs_;
    Runs<OTHERS_PER_TOKEN> others_;
    Spaces spaces_;
    Py_ssize_t tokens_ = 0;
};

template <bool ASCII, typename Code>
Py_ssize_t estimated(const Code *text, Py_ssize_t length) {
    Estimate estimate;
    std::uint8_t classes[BLOCK];
    Py_ssize_t at = 0;
    for (; length - at >= BLOCK; at += BLOCK) {
        for (int i = 0; i < BLOCK; ++i) classes[i] = looked_up(text[at + i]);
        estimate.template add<ASCII>(classes);
    }
    if (at < length) {
        std::memset(classes, 0, BLOCK);
        for (int i = 0; i < length - at; ++i) classes[i] = looked_up(text[at + i]);
        estimate.template add<ASCII>(classes);
    }
    return estimate.tokens();
}

PyObject *estimate(PyObject *, PyObject *text) {
    if (!PyUnicode_Check(text)) {
        return PyErr_Format(PyExc_TypeError, "a text must be a str, not `%.100s`",
                            Py_TYPE(text)->tp_name);
    }
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(text) < 0) return nullptr;
#endif
    const Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    if (PyUnicode_IS_ASCII(text))
        return PyLong_FromSsize_t(estimated<true>(PyUnicode_1BYTE_DATA(text), length));
    switch (PyUnicode_KIND(text)) {
        case PyUnicode_1BYTE_KIND:
            return PyLong_FromSsize_t(estimated<false>(PyUnicode_1BYTE_DATA(text), length));
        case PyUnicode_2BYTE_KIND:
            return PyLong_FromSsize_t(estimated<false>(PyUnicode_2BYTE_DATA(text), length));
        default:
            return PyLong_FromSsize_t(estimated<false>(PyUnicode_4BYTE_DATA(text), length));
    }
}

PyMethodDef METHODS[] = {
    {"estimate", estimate, METH_O,
     PyDoc_STR("estimate(text, /)\n--\n\n"
               "Return the declared estimate of a text's tokens: see `routec.safety.tokens`.")},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot SLOTS[] = {
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, nullptr},
};

PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_tokens", PyDoc_STR("The declared token estimate, compiled."), 0,
    METHODS, SLOTS, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__tokens() { return PyModuleDef_Init(&MODULE); }
