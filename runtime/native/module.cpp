// `routec.runtime.native._native`: requests that need nothing but themselves, decided in one go.
#include "path.hpp"

#include <new>
#include <stdexcept>

namespace routec {
namespace {

struct PathObject {
    PyObject_HEAD
    PyObject *spec;
    Path *path;
    bool deciding;
};

// What a batch is decided with is in use: what is called on the way may not begin another.
class Deciding {
  public:
    explicit Deciding(PathObject *of) : of_(of) {
        if (of->deciding || of->path == nullptr) {
            PyErr_SetString(PyExc_RuntimeError, "a batch is being decided");
            throw PythonError{};
        }
        of->deciding = true;
    }
    Deciding(const Deciding &) = delete;
    Deciding &operator=(const Deciding &) = delete;
    ~Deciding() { of_->deciding = false; }

  private:
    PathObject *of_;
};

// Runs `work`; what it throws becomes a Python exception and a null.
template <typename Work> PyObject *guarded(Work work) {
    try {
        return work();
    } catch (const PythonError &) {
        return nullptr;
    } catch (const Deferred &) {
        PyErr_SetString(PyExc_ValueError, "not decided here");
        return nullptr;
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    } catch (const std::exception &error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
        return nullptr;
    }
}

PyObject *path_new(PyTypeObject *type, PyObject *arguments, PyObject *) {
    PyObject *spec = nullptr;
    if (!PyArg_ParseTuple(arguments, "O!:Path", &PyDict_Type, &spec)) return nullptr;
    return guarded([&] {
        Ref made(need(type->tp_alloc(type, 0)));
        auto *self = reinterpret_cast<PathObject *>(made.get());
        // What is borrowed from it must stay as it is.
        self->spec = need(PyDict_Copy(spec));
        self->path = new Path(Part(self->spec));
        return made.release();
    });
}

int path_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(reinterpret_cast<PathObject *>(object)->spec);
    return 0;
}

int path_clear(PyObject *object) {
    auto *self = reinterpret_cast<PathObject *>(object);
    delete std::exchange(self->path, nullptr);
    Py_CLEAR(self->spec);
    return 0;
}

void path_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    path_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

// Whether the set exception is one that deciding in Python may survive; it is then cleared.
bool survived() {
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return false;
    PyErr_Clear();
    return true;
}

PyObject *numbers(const std::vector<long long> &values) {
    Ref made(need(PyTuple_New(static_cast<Py_ssize_t>(values.size()))));
    for (size_t at = 0; at < values.size(); ++at)
        PyTuple_SET_ITEM(made.get(), static_cast<Py_ssize_t>(at),
                         need(PyLong_FromLongLong(values[at])));
    return made.release();
}

PyObject *told(const Tally &tally) {
    std::vector<long long> misses, hits, spared;
    for (const auto &[missed, hit, without] : tally.looked_up) {
        misses.push_back(missed);
        hits.push_back(hit);
        spared.push_back(without);
    }
    Ref scanning_s(need(PyTuple_New(kScopes)));
    for (size_t scope = 0; scope < kScopes; ++scope)
        PyTuple_SET_ITEM(scanning_s.get(), static_cast<Py_ssize_t>(scope),
                         need(PyFloat_FromDouble(tally.scanning_s[scope])));
    return need(Py_BuildValue(
        "{s:L,s:N,s:L,s:L,s:N,s:N,s:N,s:N,s:N,s:N,s:d,s:d,s:L}", "finished", tally.finished, "routed",
        numbers(tally.routed), "cached", tally.cached, "rejected", tally.rejected, "misses",
        numbers(misses), "hits", numbers(hits), "spared", numbers(spared), "counted",
        numbers(tally.counted), "scanned",
        numbers({tally.scanned.begin(), tally.scanned.end()}), "scanning_s", scanning_s.release(),
        "reading_s", tally.reading_s, "counting_s", tally.counting_s, "latest_ms",
        static_cast<long long>(tally.latest_ms)));
}

PyObject *path_decide(PyObject *object, PyObject *arguments) {
    PyObject *records = nullptr, *decided_type = nullptr;
    long long latest_ms = 0;
    if (!PyArg_ParseTuple(arguments, "O!OL:decide", &PyList_Type, &records, &decided_type,
                          &latest_ms))
        return nullptr;
    return guarded([&] {
        auto *self = reinterpret_cast<PathObject *>(object);
        const Deciding deciding(self);
        Path *path = self->path;
        path->begin(latest_ms);
        // What is called on the way may change the list.
        const Ref all(need(PyList_AsTuple(records)));
        const Py_ssize_t count = PyTuple_GET_SIZE(all.get());
        Ref answers(need(PyList_New(count)));
        for (Py_ssize_t at = 0; at < count; ++at) {
            Ref answer;
            try {
                answer = path->decide(PyTuple_GET_ITEM(all.get(), at), decided_type);
            } catch (const Deferred &) {
            } catch (const std::bad_alloc &) {
            } catch (const PythonError &) {
                if (!survived()) throw;
            }
            if (!answer) answer = path->take_event();
            if (!answer) answer = Ref::of(Py_None);
            PyList_SET_ITEM(answers.get(), at, answer.release());
        }
        const Ref tally(told(path->tally()));
        return need(PyTuple_Pack(2, answers.get(), tally.get()));
    });
}

PyObject *blake2b(PyObject *, PyObject *arguments) {
    Py_buffer data;
    int size = 0;
    if (!PyArg_ParseTuple(arguments, "y*i:blake2b", &data, &size)) return nullptr;
    PyObject *digest = nullptr;
    if (size < 1 || size > 64) {
        PyErr_SetString(PyExc_ValueError, "a digest has 1 to 64 bytes");
    } else {
        Blake2b blake(static_cast<unsigned>(size));
        // In pieces, as the parts of a key come.
        const auto *bytes = static_cast<const char *>(data.buf);
        const auto length = static_cast<size_t>(data.len);
        for (size_t at = 0, step = 1; at < length; at += step, step = 3 * step + 1)
            blake.update(bytes + at, std::min(step, length - at));
        unsigned char found[64];
        blake.finish(found);
        digest = PyBytes_FromStringAndSize(reinterpret_cast<const char *>(found), size);
    }
    PyBuffer_Release(&data);
    return digest;
}

PyObject *read_time_of(PyObject *, PyObject *text) {
    return guarded([&] {
        if (!PyUnicode_Check(text)) {
            PyErr_SetString(PyExc_TypeError, "a time is a string");
            throw PythonError{};
        }
        return need(PyLong_FromLongLong(read_time(utf8(text))));
    });
}

PyObject *write_time_of(PyObject *, PyObject *time_ms) {
    return guarded([&] {
        const long long value = Part(time_ms).integer();
        if (value < 0 || value >= kLatestMs) {
            PyErr_SetString(PyExc_ValueError, "a time lies from 1970 to 9998");
            throw PythonError{};
        }
        std::string out;
        append_time(out, value);
        return need(PyUnicode_FromStringAndSize(out.data(), static_cast<Py_ssize_t>(out.size())));
    });
}

PyMethodDef path_methods[] = {
    {"decide", path_decide, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot path_slots[] = {
    {Py_tp_new, reinterpret_cast<void *>(path_new)},
    {Py_tp_traverse, reinterpret_cast<void *>(path_traverse)},
    {Py_tp_clear, reinterpret_cast<void *>(path_clear)},
    {Py_tp_dealloc, reinterpret_cast<void *>(path_dealloc)},
    {Py_tp_methods, path_methods},
    {0, nullptr},
};

PyType_Spec path_spec = {"routec.runtime.native._native.Path", sizeof(PathObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, path_slots};

PyMethodDef functions[] = {
    {"blake2b", blake2b, METH_VARARGS, nullptr},
    {"read_time", read_time_of, METH_O, nullptr},
    {"write_time", write_time_of, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", nullptr, -1, functions,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace routec

PyMODINIT_FUNC PyInit__native() {
    using namespace routec;
    try {
        Ref made(need(PyModule_Create(&module)));
        Names::get();
        Ref type(need(PyType_FromSpec(&path_spec)));
        if (PyModule_AddObjectRef(made.get(), "Path", type.get()) < 0) return nullptr;
        return made.release();
    } catch (const PythonError &) {
        return nullptr;
    }
}
