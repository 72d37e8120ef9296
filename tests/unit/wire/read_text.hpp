#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "wire/json_document.hpp"

namespace vitalwire::wire {

/// A document together with its text; a text that is not read fails the test.
class Text {
public:
    explicit Text(std::string text) : text_(std::move(text)) {
        const auto read = document_.read(text_);
        if (!read) ADD_FAILURE() << read.error().message << ": " << text_;
    }

    const JsonValue& root() const { return document_.root(); }

private:
    std::string text_;
    JsonDocument document_;
};

}  // namespace vitalwire::wire
