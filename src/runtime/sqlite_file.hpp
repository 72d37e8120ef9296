#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

struct sqlite3;

namespace vitalwire::runtime {

/// What is kept: (table, key) -> value; a change without a value removes the key.
using StoreKey = std::pair<std::string, std::string>;
using StoreChanges = std::map<StoreKey, std::optional<std::string>>;

/// The SQLite file under a Store. Every call blocks on the disk; one thread at a time.
class SqliteFile {
public:
    /// Locks the file for this process and checks that it is whole. Fails with `malformed` when its content cannot be
    /// used (damaged, no database, of a later release), with `unavailable` when another process holds it, else with
    /// `io` or `permission`.
    static base::Result<SqliteFile> open(const std::string& path);
    /// What a file on a disk that is read-only now holds, with its WAL; nothing when there is no file.
    static base::Result<std::map<StoreKey, std::string>> read_only(const std::string& path);
    /// Why this release will not use the file though it is whole: a later one has written it. Empty: it will. Reads no
    /// more than its header, and takes no lock: a daemon may be using it.
    static std::string why_not_ours(const std::string& path);
    ~SqliteFile();
    SqliteFile(SqliteFile&&) noexcept = default;
    SqliteFile& operator=(SqliteFile&&) noexcept = default;

    base::Result<std::map<StoreKey, std::string>> read_all();
    /// The rows that the changes do not name.
    enum class Rest { keep, erase };
    /// All or nothing, and on the disk when it returns.
    base::Result<void> write(const StoreChanges& changes, Rest rest = Rest::keep);

    /// Its path does not lead to it any more: somebody has removed or moved it, and nobody will find what is written.
    bool has_moved();

private:
    struct Closer {
        void operator()(sqlite3* database) const;
    };

    explicit SqliteFile(std::string path) : path_(std::move(path)) {}
    base::Result<void> run(const char* sql, const char* failure);
    base::Result<void> check();
    base::Result<void> check_content();
    base::Result<void> apply(const StoreChanges& changes);
    base::Error error(const char* what) const;

    std::string path_;
    std::unique_ptr<sqlite3, Closer> database_;
};

}  // namespace vitalwire::runtime
