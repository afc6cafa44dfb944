// What identifies a request to the cache: `runtime/engine/cachekey.py` says what is digested.
#pragma once

#include "blake2b.hpp"
#include "event.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace routec {

using Digest = std::array<unsigned char, 32>;

class CacheKey {
  public:
    explicit CacheKey(Part spec)
        : reading_(spec["reading"].text()),
          apart_(spec["apart"].set()),
          dumps_(spec["dumps_sorted"].callable()) {}

    // Digests of everything but the last user text, and of that. The chat must be plain.
    std::pair<Digest, Digest> of(const Chat &chat) {
        text_.clear();
        add(reading_);
        std::string number;
        append_integer(number, chat.last_user);
        add(number);
        number.clear();
        append_integer(number, static_cast<long long>(chat.messages.size()));
        add(number);
        for (size_t at = 0; at < chat.messages.size(); ++at) {
            const Message &message = chat.messages[at];
            const bool last = static_cast<Py_ssize_t>(at) == chat.last_user;
            add(utf8(message.role));
            add(last ? std::string_view() : utf8(message.text));
            add({});
        }
        add_rest(chat.body);
        const std::string_view last =
            chat.last_user < 0 ? std::string_view() : utf8(chat.messages[chat.last_user].text);
        return {digest(text_), digest(last)};
    }

  private:
    void add(std::string_view part) {
        uint64_t length = part.size();
        for (int byte = 0; byte < 8; ++byte, length >>= 8) text_ += static_cast<char>(length & 0xff);
        text_ += part;
    }

    // The members beside the conversation, by name.
    void add_rest(PyObject *body) {
        rest_.clear();
        Py_ssize_t position = 0;
        PyObject *name = nullptr, *value = nullptr;
        while (PyDict_Next(body, &position, &name, &value)) {
            const int apart = PySet_Contains(apart_, name);
            if (apart < 0) throw PythonError{};
            if (apart == 0) rest_.emplace_back(utf8(name), value);
        }
        std::sort(rest_.begin(), rest_.end());
        for (const auto &[key, of] : rest_) {
            add(key);
            if (PyUnicode_Check(of)) {
                value_ = 's';
                value_ += utf8(of);
            } else if (PyLong_CheckExact(of)) {
                value_ = 'j';
                int overflow = 0;
                const long long whole = PyLong_AsLongLongAndOverflow(of, &overflow);
                if (overflow != 0) throw Deferred{};
                append_integer(value_, whole);
            } else {
                value_ = 'j';
                const Ref written(need(PyObject_CallOneArg(dumps_, of)));
                value_ += Part(written.get()).bytes();
            }
            add(value_);
        }
    }

    static Digest digest(std::string_view text) {
        Digest found;
        Blake2b blake(sizeof found);
        blake.update(text);
        blake.finish(found.data());
        return found;
    }

    std::string_view reading_;
    PyObject *apart_, *dumps_;
    std::string text_, value_;
    std::vector<std::pair<std::string_view, PyObject *>> rest_;
};

}  // namespace routec
