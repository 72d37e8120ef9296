#include "cli/table.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "cli/human.hpp"

namespace vitalwire::cli {

namespace {

constexpr std::size_t kMaxCell = 160;
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

}  // namespace

std::string paint(std::string_view text, Tone tone, const Style& style) {
    if (!style.color || tone == Tone::plain) return std::string(text);
    return color_of(tone) + std::string(text) + "\033[0m";
}

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}

void Table::add(std::vector<Cell> row) {
    for (Cell& cell : row)
        cell.text = base::escape(cell.text, kMaxCell);
    rows_.push_back(std::move(row));
}

std::vector<std::string> Table::lines(const Style& style) const {
    std::vector<std::size_t> widths(headings_.size(), 0);  // 0: nothing in this column
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width_of(row[i].text));
    }
    std::vector<std::string> out;
    const auto add_line = [&](const auto& row) {
        LineBuilder line(style);
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (widths[i] > 0) line.add(Cell(row[i]), std::max(widths[i], width_of(headings_[i])));
        }
        out.push_back(line.take());
    };
    add_line(headings_);
    for (const auto& row : rows_)
        add_line(row);
    return out;
}

}  // namespace vitalwire::cli
