#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "cli/table.hpp"

namespace vitalwire::cli {

using Lines = std::vector<std::string>;

// Answers of the HTTP interface for people. Nothing of an answer reaches the terminal unescaped; what is missing or of
// another type is left out.

// Lists.
Table guests_table(const nlohmann::json& document, base::WallTime now, const Style& style);
/// Faults of guests, and alarms of hosts among them.
Table faults_table(const nlohmann::json& document, base::WallTime now, const Style& style);
Table agents_table(const nlohmann::json& document, base::WallTime now, const Style& style);
Table groups_table(const nlohmann::json& document, base::WallTime now, const Style& style);
Table coverage_table(const nlohmann::json& document, base::WallTime now, const Style& style);
Table events_table(const nlohmann::json& document, base::WallTime now, const Style& style);
Table maintenance_table(const nlohmann::json& document, base::WallTime now, const Style& style);

// Everything else.
Lines status_view(const nlohmann::json& document, base::WallTime now, const Style& style);
Lines guest_view(const nlohmann::json& document, base::WallTime now, const Style& style);
Lines fault_view(const nlohmann::json& document, base::WallTime now, const Style& style);
Lines host_view(const nlohmann::json& document, base::WallTime now, const Style& style);
Lines group_view(const nlohmann::json& document, base::WallTime now, const Style& style);
/// What a reload of the configuration did.
Lines reload_view(const nlohmann::json& document);
Lines sent_view(const nlohmann::json& document, base::WallTime now, const Style& style);
/// What is wrong now, the worst first, in at most `rows` lines of at most style.width columns. `document` has the
/// answers as members: status, faults, and guests and coverage where they are known.
Lines top_view(const nlohmann::json& document, base::WallTime now, const Style& style, std::size_t rows);

// Parts of several of them.
Table problems_table(const nlohmann::json& document, base::WallTime now, const Style& style);
void add_line(Lines& out, const std::string& text, const Style& style);
/// An empty line, then the table; nothing when it is empty.
void add_section(Lines& out, const Table& table, const Style& style);

}  // namespace vitalwire::cli
