// Reading what Python hands over when a policy is loaded (`policy.py` makes it).
#pragma once

#include "ref.hpp"

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
        const long long value = PyLong_AsLongLong(object_);
        if (value == -1 && PyErr_Occurred()) throw PythonError{};
        return value;
    }
    int index() const { return static_cast<int>(integer()); }
    double number() const {
        const double value = PyFloat_AsDouble(object_);
        if (value == -1.0 && PyErr_Occurred()) throw PythonError{};
        return value;
    }
    bool truth() const { return object_ == Py_True; }
    std::string_view text() const { return utf8(object_); }
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
    std::vector<int> indices() const {
        return each([](Part part) { return part.index(); });
    }

  private:
    PythonError wrong(const char *wanted) const {
        PyErr_Format(PyExc_TypeError, "a part of the specification is no %s: %R", wanted, object_);
        return PythonError{};
    }

    PyObject *object_;
};

}  // namespace routec
