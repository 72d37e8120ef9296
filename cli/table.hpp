#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vitalwire::cli {

enum class Tone : std::uint8_t { plain, good, warning, bad };

/// How much the output can take.
struct Style {
    bool color = false;
    std::size_t width = 0;  ///< columns of the terminal; 0: any
};

/// `text` in the tone's colour.
std::string paint(std::string_view text, Tone tone, const Style& style);

struct Cell {
    std::string text;  ///< may come from anywhere: it is escaped and cut where it is added
    Tone tone = Tone::plain;

    Cell(std::string_view value, Tone t = Tone::plain) : text(value), tone(t) {}  // NOLINT: a row is a list of texts
    Cell(const std::string& value, Tone t = Tone::plain) : text(value), tone(t) {}
    Cell(const char* value, Tone t = Tone::plain) : text(value), tone(t) {}
};

/// Aligned columns with a heading. A column without any content is left out; an empty cell reads "-".
class Table {
public:
    explicit Table(std::vector<std::string> headings);
    void add(std::vector<Cell> row);
    bool empty() const { return rows_.empty(); }
    /// One line each, the heading first.
    std::vector<std::string> lines(const Style& style) const;

private:
    std::vector<std::string> headings_;
    std::vector<std::vector<Cell>> rows_;
};

}  // namespace vitalwire::cli
