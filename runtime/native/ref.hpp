// An owned reference to a Python object.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <utility>

namespace routec {

class Ref {
  public:
    Ref() = default;
    explicit Ref(PyObject *stolen) : object_(stolen) {}
    Ref(Ref &&other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref &operator=(Ref &&other) noexcept {
        Py_XSETREF(object_, std::exchange(other.object_, nullptr));
        return *this;
    }
    Ref(const Ref &) = delete;
    Ref &operator=(const Ref &) = delete;
    ~Ref() { Py_XDECREF(object_); }

    static Ref of(PyObject *borrowed) { return Ref(Py_XNewRef(borrowed)); }

    PyObject *get() const { return object_; }
    PyObject *release() { return std::exchange(object_, nullptr); }
    explicit operator bool() const { return object_ != nullptr; }

  private:
    PyObject *object_ = nullptr;
};

// A Python exception is set: it is the caller's to hand on.
struct PythonError {};

// The request is for the engine in Python to decide, or to refuse with a reason.
struct Deferred {};

inline PyObject *need(PyObject *object) {
    if (object == nullptr) throw PythonError{};
    return object;
}

}  // namespace routec
