#include "runtime/sqlite_file.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string_view>
#include <system_error>

namespace vitalwire::runtime {

using base::Errc;
using base::Error;
using base::fail;
using base::Result;

namespace {

/// Kept in the file's user_version; raised with a conversion when the schema changes.
constexpr int kSchemaVersion = 1;

/// One process, one writer: the exclusive lock says so to a second process, and spares the shared-memory file that WAL
/// needs otherwise. FULL: a commit is on the disk when it returns.
constexpr const char* kSettings =
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-512;";
constexpr const char* kTakeLock = "BEGIN IMMEDIATE; COMMIT;";
constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS entry (section TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (section, key)) WITHOUT ROWID; PRAGMA user_version=1;";

constexpr const char* kCannotWrite = "cannot write";

std::string of_later_release(const std::string& path, std::int64_t version) {
    return path + ": written by a later release (schema version " + std::to_string(version) +
           ", this one reads up to " + std::to_string(kSchemaVersion) +
           "): install that release again, or move the file away to start empty";
}

class Statement {
public:
    Statement(sqlite3* database, const char* sql) {
        sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr);  // a null statement fails at its first step
    }
    ~Statement() { sqlite3_finalize(statement_); }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    void bind(int place, std::string_view text) {
        if (statement_ == nullptr) return;
        sqlite3_bind_text64(statement_, place, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    int step() { return statement_ == nullptr ? SQLITE_ERROR : sqlite3_step(statement_); }
    void reset() { sqlite3_reset(statement_); }
    int integer(int column) { return sqlite3_column_int(statement_, column); }
    std::string text(int column) {
        const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
        return bytes == nullptr ? std::string() : std::string(bytes, size);
    }

private:
    sqlite3_stmt* statement_ = nullptr;
};

Errc kind_of(int code) {
    switch (code & 0xFF) {
        case SQLITE_NOTADB:
        case SQLITE_CORRUPT:
        case SQLITE_ERROR:  // the schema is not ours
            return Errc::malformed;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return Errc::unavailable;
        case SQLITE_PERM:
        case SQLITE_AUTH:
        case SQLITE_READONLY:
            return Errc::permission;
        default:
            return Errc::io;
    }
}

/// SQLite would make the file readable for everybody.
Result<void> make_private(const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return {};
    }
    const int error = errno;
    return fail(error == EACCES || error == EPERM || error == EROFS ? Errc::permission : Errc::io,
                path + ": cannot open: " + std::generic_category().message(error));
}

std::string uri_of(const std::string& path, const char* parameter) {
    std::string out = "file:";
    for (const char c : path) {
        if (c == '%' || c == '?' || c == '#')
            out += c == '%' ? "%25" : c == '?' ? "%3f" : "%23";
        else
            out += c;
    }
    return out + '?' + parameter;
}

bool is_missing(const std::string& path) {
    return access(path.c_str(), F_OK) != 0 && errno == ENOENT;
}

}  // namespace

void SqliteFile::Closer::operator()(sqlite3* database) const {
    sqlite3_close(database);
}

SqliteFile::~SqliteFile() = default;

Result<SqliteFile> SqliteFile::open(const std::string& path) {
    if (auto made = make_private(path); !made) return tl::make_unexpected(made.error());
    SqliteFile file(path);
    sqlite3* database = nullptr;
    const int opened = sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    file.database_.reset(database);
    if (opened != SQLITE_OK) return tl::make_unexpected(file.error("cannot open"));
    sqlite3_extended_result_codes(database, 1);
    if (auto checked = file.check(); !checked) return tl::make_unexpected(checked.error());
    return file;
}

/// Nobody can write it, so it needs no lock, which could not be taken, nor the shared memory that goes with the lock.
/// The newest rows of a process that was killed are in the WAL alone, and `immutable` leaves it out: only for a file
/// without one.
Result<std::map<StoreKey, std::string>> SqliteFile::read_only(const std::string& path) {
    if (is_missing(path)) return std::map<StoreKey, std::string>();
    SqliteFile file(path);
    sqlite3* database = nullptr;
    const std::string uri = uri_of(path, is_missing(path + "-wal") ? "immutable=1" : "vfs=unix-none");
    const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
    const int opened = sqlite3_open_v2(uri.c_str(), &database, flags, nullptr);
    file.database_.reset(database);
    if (opened != SQLITE_OK) return tl::make_unexpected(file.error("cannot open"));
    sqlite3_extended_result_codes(database, 1);
    sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    if (auto set = file.run("PRAGMA locking_mode=EXCLUSIVE", "cannot read"); !set)
        return tl::make_unexpected(set.error());
    if (auto checked = file.check_content(); !checked) return tl::make_unexpected(checked.error());
    return file.read_all();
}

/// The header of SQLite's file format: "SQLite format 3", and at 60 the user_version, the high byte first.
std::string SqliteFile::why_not_ours(const std::string& path) {
    constexpr std::string_view kMagic = "SQLite format 3";
    constexpr std::size_t kVersionAt = 60;
    std::array<char, kVersionAt + 4> header{};
    std::ifstream file(path, std::ios::binary);
    if (!file.read(header.data(), header.size()) || !std::string_view(header.data(), header.size()).starts_with(kMagic))
        return {};
    std::uint32_t version = 0;
    for (std::size_t i = 0; i < 4; ++i)
        version = version << 8 | static_cast<unsigned char>(header.at(kVersionAt + i));
    return version <= 0x7fffffff && version > kSchemaVersion ? of_later_release(path, version) : std::string();
}

Result<void> SqliteFile::check() {
    for (const char* sql : {kSettings, kTakeLock}) {
        auto done = run(sql, "cannot open");
        // A full disk does not make what is there unreadable.
        if (!done && done.error().code != Errc::io) return done;
    }
    return check_content();
}

Result<void> SqliteFile::check_content() {
    Statement version(database_.get(), "PRAGMA user_version");
    if (version.step() != SQLITE_ROW) return tl::make_unexpected(error("cannot read"));
    const int found = version.integer(0);
    if (found > kSchemaVersion) {
        // Written by a later release: nothing is wrong with it, and what it holds must not be lost.
        return fail(Errc::unsupported_version, of_later_release(path_, found));
    }
    if (found < 0) return fail(Errc::malformed, path_ + ": schema version " + std::to_string(found));
    Statement whole(database_.get(), "PRAGMA quick_check(1)");
    if (whole.step() != SQLITE_ROW) return tl::make_unexpected(error("cannot read"));
    if (whole.text(0) != "ok") return fail(Errc::malformed, path_ + ": damaged: " + whole.text(0));
    return {};
}

Result<std::map<StoreKey, std::string>> SqliteFile::read_all() {
    std::map<StoreKey, std::string> out;
    Statement is_there(database_.get(), "SELECT 1 FROM sqlite_schema WHERE name='entry'");
    if (is_there.step() == SQLITE_DONE) return out;  // a fresh file: the first write makes the table
    Statement rows(database_.get(), "SELECT section, key, value FROM entry");
    int step = SQLITE_ROW;
    while ((step = rows.step()) == SQLITE_ROW)
        out[{rows.text(0), rows.text(1)}] = rows.text(2);
    if (step != SQLITE_DONE) return tl::make_unexpected(error("cannot read"));
    return out;
}

Result<void> SqliteFile::write(const StoreChanges& changes, Rest rest) {
    auto done = run("BEGIN IMMEDIATE", kCannotWrite);
    if (done) done = run(kSchema, kCannotWrite);
    if (done && rest == Rest::erase) done = run("DELETE FROM entry", kCannotWrite);
    if (done) done = apply(changes);
    if (done) done = run("COMMIT", kCannotWrite);
    if (!done) sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    return done;
}

bool SqliteFile::has_moved() {
    int moved = 0;
    return sqlite3_file_control(database_.get(), nullptr, SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
}

Result<void> SqliteFile::apply(const StoreChanges& changes) {
    Statement put(database_.get(), "INSERT OR REPLACE INTO entry (section, key, value) VALUES (?1, ?2, ?3)");
    Statement erase(database_.get(), "DELETE FROM entry WHERE section=?1 AND key=?2");
    for (const auto& [key, value] : changes) {
        Statement& statement = value ? put : erase;
        statement.bind(1, key.first);
        statement.bind(2, key.second);
        if (value) statement.bind(3, *value);
        if (statement.step() != SQLITE_DONE) return tl::make_unexpected(error(kCannotWrite));
        statement.reset();
    }
    return {};
}

Result<void> SqliteFile::run(const char* sql, const char* failure) {
    if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
    return tl::make_unexpected(error(failure));
}

Error SqliteFile::error(const char* what) const {
    const int code = sqlite3_extended_errcode(database_.get());
    if (kind_of(code) == Errc::unavailable) return {Errc::unavailable, path_ + ": another process uses this file"};
    std::string message = path_ + ": " + what + ": " + sqlite3_errmsg(database_.get());
    const int system = sqlite3_system_errno(database_.get());
    if ((code & 0xFF) == SQLITE_IOERR && system != 0) message += " (" + std::generic_category().message(system) + ")";
    return {kind_of(code), std::move(message)};
}

}  // namespace vitalwire::runtime
