// Whether a text surely holds no disguise: the quick look of `routec.safety.views`.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

namespace {

constexpr Py_ssize_t CODES = 128;

enum Class : std::uint8_t {
    LETTER = 1 << 0,
    LEET = 1 << 1,    // a digit or sign that stands for a letter in l33t
    BASE64 = 1 << 2,  // of the alphabets of base64
};

// The classes of ASCII.
const auto CLASSES = [] {
    std::array<std::uint8_t, CODES> classes{};
    for (int code = 0; code < CODES; ++code) {
        const int lower = code | 0x20;
        if (lower >= 'a' && lower <= 'z') classes[code] = LETTER | BASE64;
        if (code >= '0' && code <= '9') classes[code] = BASE64;
    }
    for (const char code : {'+', '/', '_', '-'}) classes[code] |= BASE64;
    for (const char code : {'0', '1', '3', '4', '5', '7', '@', '$', '!'}) classes[code] |= LEET;
    return classes;
}();

// What is looked for in one pass over a text, without branches.
struct Look {
    Py_ssize_t longest = 0;  // run of characters of base64
    Py_ssize_t leet = 0;     // runs of l33t signs between letters
    double gained = 0.0;     // most that the evidence of rot13 grows from any letter to a later one
};

Look look(const Py_UCS1 *text, Py_ssize_t length, const double *evidence) {
    Look found;
    Py_ssize_t run = 0;
    unsigned after = 0;  // a letter came, and nothing but l33t signs since
    unsigned open = 0;   // at least one of them
    double total = 0.0, lowest = std::numeric_limits<double>::infinity();
    for (Py_ssize_t at = 0; at < length; ++at) {
        const unsigned of = CLASSES[text[at]], letter = of & LETTER, leet = of / LEET & 1;
        run = (run + 1) * (of / BASE64 & 1);
        found.longest = std::max(found.longest, run);
        found.leet += open & letter;
        open = after & leet;
        after = letter | open;
        total += evidence[text[at]];
        lowest = std::min(lowest, total);
        found.gained = std::max(found.gained, total - lowest);
    }
    return found;
}

PyObject *is_ordinary(PyObject *, PyObject *arguments) {
    PyObject *text;
    Py_buffer evidence;
    double enough;
    Py_ssize_t run;
    Py_ssize_t leet;
    if (!PyArg_ParseTuple(arguments, "Uy*dnn:is_ordinary", &text, &evidence, &enough, &run, &leet))
        return nullptr;
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(text) < 0) {
        PyBuffer_Release(&evidence);
        return nullptr;
    }
#endif
    const bool sized = evidence.len == CODES * static_cast<Py_ssize_t>(sizeof(double));
    PyObject *answer = Py_False;
    if (sized && PyUnicode_IS_ASCII(text)) {
        const Look found = look(PyUnicode_1BYTE_DATA(text), PyUnicode_GET_LENGTH(text),
                                static_cast<const double *>(evidence.buf));
        if (found.longest < run && found.leet < leet && found.gained < enough) answer = Py_True;
    }
    PyBuffer_Release(&evidence);
    if (!sized) {
        PyErr_SetString(PyExc_ValueError, "evidence must be a double for each ASCII character");
        return nullptr;
    }
    return Py_NewRef(answer);
}

PyMethodDef METHODS[] = {
    {"is_ordinary", is_ordinary, METH_VARARGS,
     PyDoc_STR("is_ordinary(text, evidence, enough, run, leet, /)\n--\n\n"
               "Return whether a text surely holds no disguise: see `routec.safety.views`.")},
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
    PyModuleDef_HEAD_INIT, "_ordinary", PyDoc_STR("A quick look for disguises."), 0,
    METHODS, SLOTS, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__ordinary() { return PyModuleDef_Init(&MODULE); }
