// What a policy reads of a request event, as orjson decoded it.
//
// Only what is valid beyond doubt is read: for anything else `Deferred` is thrown, and the decoder
// in Python (`runtime/events`) says what is wrong with it, if anything is.
#pragma once

#include "conditions.hpp"
#include "text.hpp"

#include <cmath>
#include <string>
#include <vector>

namespace routec {

// Strings that are looked up again and again.
struct Names {
#define ROUTEC_NAMES(DO)                                                                          \
    DO(attributes) DO(body) DO(content) DO(functions) DO(headers) DO(max_completion_tokens)      \
    DO(max_tokens) DO(messages) DO(metadata) DO(offset) DO(partition) DO(request_id) DO(role)    \
    DO(time) DO(timestamp_ms) DO(tools) DO(topic) DO(value)
#define ROUTEC_NAME(name) PyObject *name = need(PyUnicode_InternFromString(#name));
    ROUTEC_NAMES(ROUTEC_NAME)
#undef ROUTEC_NAME
    static const Names &get() {
        static const Names names;
        return names;
    }
};

// A member of an object, borrowed; null if it is missing.
inline PyObject *member(PyObject *object, PyObject *name) {
    PyObject *found = PyDict_GetItemWithError(object, name);
    if (found == nullptr && PyErr_Occurred()) throw PythonError{};
    return found;
}

inline bool missing(PyObject *object) { return object == nullptr || object == Py_None; }

struct Message {
    PyObject *role;
    PyObject *text;
};

// The chat-completions body, as `runtime/events/body.py` reads it.
struct Chat {
    PyObject *body = nullptr;
    std::vector<Message> messages;
    Py_ssize_t last_user = -1;
    int turns = 0;
    bool plain = true;  // every message has nothing but a role and a text
    bool ascii = true;
    Py_ssize_t characters = 0;
    bool has_tools = false;
    long long max_tokens = -1;  // -1 for no limit

    void clear() {
        std::vector<Message> kept = std::move(messages);
        kept.clear();
        *this = {};
        messages = std::move(kept);  // with its room
    }
};

class BodyReader {
  public:
    explicit BodyReader(Part spec)
        : most_(spec["messages"].integer()),
          roles_(spec["roles"].set()),
          silent_(spec["silent"].set()) {}

    void read(PyObject *body, Chat &chat) const {
        const Names &names = Names::get();
        if (body == nullptr || !PyDict_Check(body)) throw Deferred{};
        PyObject *messages = member(body, names.messages);
        if (messages == nullptr || !PyList_Check(messages)) throw Deferred{};
        const Py_ssize_t count = PyList_GET_SIZE(messages);
        if (count == 0 || count > most_) throw Deferred{};
        chat.body = body;
        chat.messages.clear();
        for (Py_ssize_t at = 0; at < count; ++at) {
            PyObject *message = PyList_GET_ITEM(messages, at);
            if (!PyDict_Check(message)) throw Deferred{};
            PyObject *role = member(message, names.role);
            if (role == nullptr || !PyUnicode_Check(role) || !among(roles_, role)) throw Deferred{};
            PyObject *text = member(message, names.content);
            if (missing(text)) {
                // Null, or no member at all, which only some roles may have.
                if (!among(silent_, role)) throw Deferred{};
                text = nullptr;
                chat.plain = false;
            } else if (!PyUnicode_Check(text)) {
                throw Deferred{};
            } else {
                chat.plain &= PyDict_GET_SIZE(message) == 2;
                chat.ascii &= PyUnicode_IS_ASCII(text) != 0;
                chat.characters += PyUnicode_GET_LENGTH(text);
            }
            if (PyUnicode_CompareWithASCIIString(role, "user") == 0) {
                ++chat.turns;
                chat.last_user = at;
            }
            chat.messages.push_back({role, text});
        }
        for (PyObject *name : {names.max_completion_tokens, names.max_tokens}) {
            PyObject *limit = member(body, name);
            if (missing(limit)) continue;
            if (!PyLong_CheckExact(limit)) throw Deferred{};
            int overflow = 0;
            chat.max_tokens = PyLong_AsLongLongAndOverflow(limit, &overflow);
            // Larger ones could not be added to without loss.
            if (overflow != 0 || chat.max_tokens < 0 || chat.max_tokens > 1'000'000'000'000)
                throw Deferred{};
            break;
        }
        PyObject *tools = member(body, names.tools), *functions = member(body, names.functions);
        if (!missing(tools) && !PyList_Check(tools)) throw Deferred{};
        chat.has_tools = !missing(tools) && PyList_GET_SIZE(tools) > 0;
        if (functions != nullptr && !chat.has_tools) chat.has_tools = PyObject_IsTrue(functions) == 1;
    }

  private:
    static bool among(PyObject *set, PyObject *text) {
        const int found = PySet_Contains(set, text);
        if (found < 0) throw PythonError{};
        return found == 1;
    }

    Py_ssize_t most_;
    PyObject *roles_, *silent_;
};

// The attributes that a policy declares, as `runtime/events/attributes.py` reads them.
class AttributeReader {
  public:
    explicit AttributeReader(Part spec)
        : fields_(spec.each(read_field)) {}

    size_t count() const { return fields_.size(); }

    // Their values; sets that had to be made are kept in `owned`.
    void read(PyObject *attributes, std::vector<Value> &values, std::vector<Ref> &owned) const {
        for (size_t at = 0; at < fields_.size(); ++at) {
            const Field &field = fields_[at];
            PyObject *found = attributes == nullptr ? nullptr : member(attributes, field.name);
            if (!missing(found)) {
                values[at] = converted(field, found, owned);
            } else {
                if (field.fallback == Py_None) throw Deferred{};
                values[at] = {true, number(field, field.fallback), field.fallback};
            }
        }
    }

  private:
    struct Field {
        PyObject *name;
        char type;  // the first letter of the type's name
        PyObject *members;   // a frozen set, empty for any
        PyObject *fallback;  // None if there must be one
    };

    static Field read_field(Part part) {
        const std::string_view type = part[1].text();
        bool known = false;
        for (const std::string_view one : {"bool", "int", "float", "string", "enum", "set"})
            known |= type == one;
        if (!known) throw part[1].beyond();
        PyObject *members = type == "string" ? Py_None : part[2].set(), *fallback = part[3].object();
        if (fallback != Py_None) {
            if (type == "set") part[3].set();
            if (type == "string" || type == "enum") part[3].string();
            if (type == "bool") part[3].truth();
            if (type == "int" && !PyLong_Check(fallback)) throw part[3].beyond();
            if (type == "float") part[3].number();
        }
        return {part[0].string(), type[0], members, fallback};
    }

    static double number(const Field &field, PyObject *value) {
        switch (field.type) {
            case 'b': return value == Py_True;
            case 'i': {
                int overflow = 0;
                const long long whole = PyLong_AsLongLongAndOverflow(value, &overflow);
                // Beyond these a double does not tell whole numbers apart.
                if (overflow != 0 || whole > kExact || whole < -kExact) throw Deferred{};
                return static_cast<double>(whole);
            }
            case 'f': {
                const double real = PyFloat_AsDouble(value);
                if (PyErr_Occurred() != nullptr) throw PythonError{};
                if (!(std::fabs(real) < 1e308)) throw Deferred{};
                return real;
            }
            default: return 0.0;
        }
    }

    static Value converted(const Field &field, PyObject *found, std::vector<Ref> &owned) {
        bool fits = false;
        switch (field.type) {
            case 'b': fits = PyBool_Check(found); break;
            case 'i': fits = PyLong_CheckExact(found); break;
            case 'f': fits = PyFloat_CheckExact(found) || PyLong_CheckExact(found); break;
            case 'e':
                if (PyUnicode_Check(found)) {
                    const int among = PySet_Contains(field.members, found);
                    if (among < 0) throw PythonError{};
                    fits = among == 1;
                }
                break;
            case 's':
                if (field.members == Py_None) {
                    fits = PyUnicode_Check(found);
                    break;
                }
                return {true, 0.0, set_of(field, found, owned)};
        }
        if (!fits) throw Deferred{};
        const double value = number(field, found);
        if (field.type == 'f' && PyLong_Check(found)) {
            owned.emplace_back(need(PyFloat_FromDouble(value)));
            found = owned.back().get();
        }
        return {true, value, found};
    }

    static PyObject *set_of(const Field &field, PyObject *found, std::vector<Ref> &owned) {
        if (!PyList_Check(found)) throw Deferred{};
        for (Py_ssize_t at = 0; at < PyList_GET_SIZE(found); ++at) {
            PyObject *item = PyList_GET_ITEM(found, at);
            if (!PyUnicode_Check(item)) throw Deferred{};
            if (PySet_GET_SIZE(field.members) == 0) continue;
            const int among = PySet_Contains(field.members, item);
            if (among < 0) throw PythonError{};
            if (among == 0) throw Deferred{};
        }
        owned.emplace_back(need(PyFrozenSet_New(found)));
        return owned.back().get();
    }

    static constexpr long long kExact = 1LL << 53;

    std::vector<Field> fields_;
};

}  // namespace routec
