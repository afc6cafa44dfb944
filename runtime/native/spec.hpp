// Reading what Python hands over when a policy is loaded (`policy.py` makes it).
#pragma once

#include "ref.hpp"

#include <climits>
#include <string>
#include <string_view>
#include <vector>

namespace routec {

// The UTF-8 of a string, which the object keeps; a lone surrogate is a PythonError.
inline std::string_view utf8(PyObject *text) {
    Py_ssize_t length = 0;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &length);
    if (bytes == nullptr) throw PythonError{};
    return {bytes, static_cast<size_t>(length)};
}

// A borrowed view of a part of the specification; wrong types are PythonErrors.
class Part {
  public:
    explicit Part(PyObject *object) : object_(need(object)) {}

    PyObject *object() const { return object_; }
    bool none() const { return object_ == Py_None; }

    Part operator[](const char *name) const {
        if (!PyDict_Check(object_)) throw wrong("a dict");
        PyObject *found = PyDict_GetItemString(object_, name);
        if (found == nullptr) {
            PyErr_SetString(PyExc_KeyError, name);
            throw PythonError{};
        }
        return Part(found);
    }
    Part operator[](int at) const {
        if (!PyTuple_Check(object_)) throw wrong("a tuple");
        if (at >= PyTuple_GET_SIZE(object_)) throw wrong("a longer tuple");
        return Part(PyTuple_GET_ITEM(object_, at));
    }
    Py_ssize_t size() const {
        if (!PyTuple_Check(object_)) throw wrong("a tuple");
        return PyTuple_GET_SIZE(object_);
    }
    long long integer() const {
        if (!PyLong_Check(object_)) throw wrong("a whole number");
        int overflow = 0;
        const long long value = PyLong_AsLongLongAndOverflow(object_, &overflow);
        if (overflow != 0) throw beyond();
        return value;
    }
    int index() const { return index(INT_MIN, INT_MAX); }
    // A whole number from `low` to below `end`.
    int index(long long low, long long end) const {
        const long long value = integer();
        if (value < low || value >= end) throw beyond();
        return static_cast<int>(value);
    }
    double number() const {
        const double value = PyFloat_AsDouble(object_);
        if (value == -1.0 && PyErr_Occurred()) throw PythonError{};
        return value;
    }
    bool truth() const {
        if (!PyBool_Check(object_)) throw wrong("a truth value");
        return object_ == Py_True;
    }
    std::string_view text() const { return utf8(object_); }
    PyObject *string() const {
        if (!PyUnicode_Check(object_)) throw wrong("a string");
        return object_;
    }
    PyObject *callable() const {
        if (!PyCallable_Check(object_)) throw wrong("a function");
        return object_;
    }
    PyObject *dict() const {
        if (!PyDict_Check(object_)) throw wrong("a dict");
        return object_;
    }
    PyObject *set() const {
        if (!PyAnySet_Check(object_)) throw wrong("a set");
        return object_;
    }
    std::string_view bytes() const {
        if (!PyBytes_Check(object_)) throw wrong("bytes");
        return {PyBytes_AS_STRING(object_), static_cast<size_t>(PyBytes_GET_SIZE(object_))};
    }

    template <typename Read> auto each(Read read) const {
        std::vector<decltype(read(Part(object_)))> found;
        const Py_ssize_t count = size();
        found.reserve(static_cast<size_t>(count));
        for (Py_ssize_t at = 0; at < count; ++at) found.push_back(read((*this)[static_cast<int>(at)]));
        return found;
    }
    // What is thrown for a value that is not known, or leads nowhere.
    PythonError beyond() const {
        PyErr_Format(PyExc_ValueError, "a part of the specification is out of range: %R", object_);
        return PythonError{};
    }
    std::vector<int> indices() const {
        return each([](Part part) { return part.index(); });
    }

  private:
    PythonError wrong(const char *wanted) const {
        PyErr_Format(PyExc_TypeError, "a part of the specification is not %s: %R", wanted, object_);
        return PythonError{};
    }

    PyObject *object_;
};

}  // namespace routec
