// A record, read as a request.
#pragma once

#include "event.hpp"

#include <string_view>
#include <utility>
#include <vector>

namespace routec {

struct Request {
    Ref event;  // what was decoded; the others point into it
    Ref headers, topic;
    long long partition = 0, offset = 0;
    PyObject *id = nullptr;
    int64_t time_ms = 0;
    Chat chat;
    std::vector<Ref> owned;  // what was made on the way

    // The texts of the messages of some roles, null for all, joined by line ends.
    Ref text_of(PyObject *roles) const {
        const Ref texts(need(PyList_New(0)));
        const Ref nothing(need(PyUnicode_New(0, 0)));
        for (const Message &message : chat.messages) {
            if (roles != nullptr) {
                const int among = PySet_Contains(roles, message.role);
                if (among < 0) throw PythonError{};
                if (among == 0) continue;
            }
            PyObject *text = message.text == nullptr ? nothing.get() : message.text;
            if (PyList_Append(texts.get(), text) < 0) throw PythonError{};
        }
        const Ref line_end(need(PyUnicode_FromString("\n")));
        return Ref(need(PyUnicode_Join(line_end.get(), texts.get())));
    }

    // That of the last message of the user; empty without one.
    Ref last_text() const {
        PyObject *text = chat.last_user < 0 ? nullptr : chat.messages[chat.last_user].text;
        return text == nullptr ? Ref(need(PyUnicode_New(0, 0))) : Ref::of(text);
    }
};

// Reads what `runtime/events/decode.py` reads.
class RequestReader {
  public:
    explicit RequestReader(Part spec)
        : loads_(spec["loads"].callable()),
          most_bytes_(spec["bytes"].integer()),
          most_depth_(spec["depth"].integer()),
          body_(spec["body"]),
          attributes_(spec["fields"]) {}

    size_t fields() const { return attributes_.count(); }

    // Reads a record; whether or not the rest can be read, `request.event` is what was decoded.
    void read(PyObject *record, Request &request, std::vector<Value> &fields) const {
        const Names &names = Names::get();
        request.event = Ref();
        const Ref value(need(PyObject_GetAttr(record, names.value)));
        request.event = decoded(value.get());
        request.headers = Ref(need(PyObject_GetAttr(record, names.headers)));
        check_headers(request.headers.get());
        request.owned.clear();
        request.chat.clear();
        PyObject *event = request.event.get(), *name = nullptr, *time = nullptr;
        PyObject *attributes, *body = member(event, names.body);
        if (body == nullptr && member(event, names.messages) != nullptr) {
            attributes = member(event, names.metadata);
            body = event;
        } else {
            attributes = member(event, names.attributes);
            name = member(event, names.request_id);
            time = member(event, names.time);
        }
        if (attributes == Py_None) attributes = nullptr;
        if (attributes != nullptr && !PyDict_Check(attributes)) throw Deferred{};
        request.topic = Ref(need(PyObject_GetAttr(record, names.topic)));
        if (!PyUnicode_Check(request.topic.get())) throw Deferred{};
        request.partition = number(record, names.partition);
        request.offset = number(record, names.offset);
        if (missing(name)) {
            request.owned.emplace_back(need(PyUnicode_FromFormat(
                "%U-%lld-%lld", request.topic.get(), request.partition, request.offset)));
            name = request.owned.back().get();
        } else if (!PyUnicode_Check(name)) {
            throw Deferred{};
        }
        const Py_ssize_t length = PyUnicode_GET_LENGTH(name);
        if (length == 0 || length > 1024) throw Deferred{};
        request.id = name;
        if (missing(time)) {
            request.time_ms = number(record, names.timestamp_ms);
        } else {
            if (!PyUnicode_Check(time)) throw Deferred{};
            request.time_ms = read_time(utf8(time));
        }
        if (request.time_ms < 0 || request.time_ms >= kLatestMs) throw Deferred{};
        body_.read(body, request.chat);
        attributes_.read(attributes, fields, request.owned);
    }

  private:
    static long long number(PyObject *record, PyObject *name) {
        const Ref value(need(PyObject_GetAttr(record, name)));
        return Part(value.get()).integer();
    }

    Ref decoded(PyObject *value) const {
        if (!PyBytes_Check(value)) throw Deferred{};
        const Part part(value);
        const std::string_view bytes = part.bytes();
        if (bytes.empty() || static_cast<long long>(bytes.size()) > most_bytes_) throw Deferred{};
        // Opening brackets bound the depth.
        if (brackets(bytes) > most_depth_) throw Deferred{};
        Ref event(need(PyObject_CallOneArg(loads_, value)));
        if (!PyDict_Check(event.get())) throw Deferred{};
        return event;
    }

    static long long brackets(std::string_view bytes) {
        long long found = 0;
        for (size_t from = 0; from < bytes.size(); from += 128) {
            // Counted in bytes, of which a processor adds many at once.
            unsigned char some = 0;
            for (const char sign : bytes.substr(from, 128)) some += sign == '{' || sign == '[';
            found += some;
        }
        return found;
    }

    // Headers that say something of the event are Python's to read.
    static void check_headers(PyObject *headers) {
        static constexpr std::string_view kTelling[] = {"ce_id", "ce_time", "ce_specversion",
                                                        "content-type", "routec-request-id"};
        const Part part(headers);
        for (Py_ssize_t at = 0; at < part.size(); ++at) {
            const std::string_view name = part[static_cast<int>(at)][0].text();
            for (const std::string_view telling : kTelling) {
                if (name.size() != telling.size()) continue;
                bool same = true;
                for (size_t sign = 0; sign < name.size(); ++sign)
                    same &= Py_TOLOWER(static_cast<unsigned char>(name[sign])) == telling[sign];
                if (same) throw Deferred{};
            }
        }
    }

    PyObject *loads_;
    long long most_bytes_, most_depth_;
    BodyReader body_;
    AttributeReader attributes_;
};

}  // namespace routec
