#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"

namespace vitalwire::cli {

enum class Tone : std::uint8_t { plain, good, warning, bad };

/// How the output is rendered.
struct Style {
    bool color = false;
    std::size_t width = 0;        ///< columns of the terminal; 0: any
    bool absolute_times = false;  ///< "2026-11-22 06:05:08Z" instead of "3 s ago"
    bool wide = false;            ///< columns that a screen has no room for, too
    bool headings = true;
    std::string sort;  ///< heading of the column to sort by; empty: the order of the view
    bool reverse = false;
};

/// `text` in the tone's colour.
std::string paint(std::string_view text, Tone tone, const Style& style);

struct Cell {
    std::string text;  ///< may come from anywhere: it is escaped and cut where it is added
    Tone tone = Tone::plain;
    std::string key;  ///< what the column sorts by, and what CSV holds; the text when empty

    Cell(std::string_view value, Tone t = Tone::plain) : text(value), tone(t) {}  // NOLINT: a row is a list of texts
    Cell(const std::string& value, Tone t = Tone::plain) : text(value), tone(t) {}
    Cell(const char* value, Tone t = Tone::plain) : text(value), tone(t) {}
    Cell(std::string value, std::string sort_key) : text(std::move(value)), key(std::move(sort_key)) {}

    /// An ISO 8601 time as the style wants it.
    static Cell time(const std::string& iso8601, base::WallTime now, const Style& style);
    /// The same of one that is to come.
    static Cell until(const std::string& iso8601, base::WallTime now, const Style& style);
    /// A number with a text for people.
    static Cell number(std::int64_t value, std::string text);
};

struct Heading {
    std::string text;
    bool wide = false;  ///< only in wide tables and in CSV

    Heading(const char* value, bool is_wide = false) : text(value), wide(is_wide) {}  // NOLINT: a list of texts
};

/// Aligned columns with a heading. A column without any content is left out; an empty cell reads "-".
class Table {
public:
    explicit Table(std::vector<Heading> headings);
    void add(std::vector<Cell> row);
    bool empty() const { return rows_.empty(); }
    std::size_t size() const { return rows_.size(); }
    /// Names of columns as `--sort` takes them: "last-seen".
    std::vector<std::string> column_names() const;
    /// One line each, the heading first.
    std::vector<std::string> lines(const Style& style) const;
    /// RFC 4180: every column, times and numbers in a form for programs.
    std::vector<std::string> csv(const Style& style) const;

private:
    using Row = std::vector<Cell>;
    std::vector<const Row*> ordered(const Style& style) const;

    std::vector<Heading> headings_;
    std::vector<Row> rows_;
};

/// The name of a column as `--sort` takes it: "LAST SEEN" is "last-seen".
std::string column_name(std::string_view heading);

}  // namespace vitalwire::cli
