#include "cli/table.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/text.hpp"
#include "cli/human.hpp"

namespace vitalwire::cli {

namespace {

constexpr std::size_t kMaxCell = 160;
constexpr std::size_t kMaxField = 4096;
constexpr std::size_t kGap = 2;

const char* color_of(Tone tone) {
    switch (tone) {
        case Tone::good:
            return "\033[32m";
        case Tone::warning:
            return "\033[33m";
        case Tone::bad:
            return "\033[31m";
        case Tone::plain:
            break;
    }
    return "";
}

/// Puts cells side by side; remembers how much of the terminal's width is left.
class LineBuilder {
public:
    explicit LineBuilder(const Style& style) : style_(style) {}

    void add(const Cell& cell, std::size_t width) {
        std::string text = cell.text.empty() ? "-" : cell.text;
        const std::size_t used = width_of(line_) + gap_;
        if (style_.width > 0) text = cut_to_width(text, used < style_.width ? style_.width - used : 0);
        if (!text.empty()) {
            out_ += std::string(gap_, ' ') + paint(text, cell.tone, style_);
            line_ += std::string(gap_, ' ') + text;
        }
        gap_ = width - std::min(width_of(text), width) + kGap;
    }
    std::string take() { return std::move(out_); }

private:
    const Style& style_;
    std::string line_;  ///< as seen
    std::string out_;   ///< with colours
    std::size_t gap_ = 0;
};

std::optional<double> as_number(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return text.empty() || *end != '\0' ? std::nullopt : std::optional(value);
}

/// Numbers by their value, everything else as text; what is missing comes first.
bool comes_before(const std::string& a, const std::string& b) {
    const auto left = as_number(a);
    const auto right = as_number(b);
    return left && right ? *left < *right : a < b;
}

std::string csv_field(const std::string& value) {
    std::string text = base::escape(value, kMaxField);
    // A guest's own text must not be a formula to the spreadsheet that reads it.
    if (text.find_first_of("=+-@") == 0 && !as_number(text)) text.insert(0, 1, '\'');
    if (text.find_first_of(", \"\\") == std::string::npos) return text;
    std::string out = "\"";
    for (const char c : text)
        out += c == '"' ? "\"\"" : std::string(1, c);
    return out + '"';
}

}  // namespace

std::string paint(std::string_view text, Tone tone, const Style& style) {
    if (!style.color || tone == Tone::plain) return std::string(text);
    return color_of(tone) + std::string(text) + "\033[0m";
}

Cell Cell::time(const std::string& iso8601, base::WallTime now, const Style& style) {
    const base::WallTime time = base::from_iso8601(iso8601);
    if (time == base::WallTime{}) return {""};
    return {style.absolute_times ? human_time(time) : human_age(iso8601, now), iso8601};
}

Cell Cell::until(const std::string& iso8601, base::WallTime now, const Style& style) {
    Cell cell = time(iso8601, now, style);
    if (!style.absolute_times) cell.text = human_until(iso8601, now);
    return cell;
}

Cell Cell::number(std::int64_t value, std::string text) {
    return {std::move(text), std::to_string(value)};
}

std::string column_name(std::string_view heading) {
    std::string out(heading);
    std::transform(out.begin(), out.end(), out.begin(), [](char c) {
        if (c == ' ') return '-';
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return out;
}

Table::Table(std::vector<Heading> headings) : headings_(std::move(headings)) {}

void Table::add(std::vector<Cell> row) {
    for (Cell& cell : row) {
        if (cell.key.empty()) cell.key = cell.text;
        cell.text = base::escape(cell.text, kMaxCell);
    }
    rows_.push_back(std::move(row));
}

std::vector<std::string> Table::column_names() const {
    std::vector<std::string> out;
    for (const Heading& heading : headings_)
        out.push_back(column_name(heading.text));
    return out;
}

std::vector<const Table::Row*> Table::ordered(const Style& style) const {
    std::vector<const Row*> out;
    for (const Row& row : rows_)
        out.push_back(&row);
    const auto names = column_names();
    const auto at = std::find(names.begin(), names.end(), style.sort);
    if (!style.sort.empty() && at != names.end()) {
        const auto column = static_cast<std::size_t>(at - names.begin());
        std::stable_sort(out.begin(), out.end(), [&](const Row* a, const Row* b) {
            return column < a->size() && column < b->size() && comes_before((*a)[column].key, (*b)[column].key);
        });
    }
    if (style.reverse) std::reverse(out.begin(), out.end());
    return out;
}

std::vector<std::string> Table::lines(const Style& style) const {
    std::vector<std::size_t> widths(headings_.size(), 0);  // 0: nothing in this column
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (style.wide || !headings_[i].wide) widths[i] = std::max(widths[i], width_of(row[i].text));
        }
    }
    for (std::size_t i = 0; i < widths.size(); ++i) {
        if (widths[i] > 0 && style.headings) widths[i] = std::max(widths[i], width_of(headings_[i].text));
    }
    std::vector<std::string> out;
    const auto add_line = [&](const Row& row) {
        LineBuilder line(style);
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (widths[i] > 0) line.add(row[i], widths[i]);
        }
        out.push_back(line.take());
    };
    if (style.headings) {
        Row names;
        for (const Heading& heading : headings_)
            names.emplace_back(heading.text);
        add_line(names);
    }
    for (const Row* row : ordered(style))
        add_line(*row);
    return out;
}

std::vector<std::string> Table::csv(const Style& style) const {
    std::vector<std::string> out;
    if (style.headings) {
        std::string line;
        for (const std::string& name : column_names())
            line += (line.empty() ? "" : ",") + name;
        out.push_back(line);
    }
    for (const Row* row : ordered(style)) {
        std::string line;
        for (std::size_t i = 0; i < row->size(); ++i)
            line += (i == 0 ? "" : ",") + csv_field((*row)[i].key);
        out.push_back(std::move(line));
    }
    return out;
}

}  // namespace vitalwire::cli
