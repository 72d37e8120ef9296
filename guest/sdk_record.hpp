#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "model/corrective_action.hpp"

namespace vitalwire::guest::sdk {

// The heartbeat interface of the guest SDK (guest_heartbeat_api.h): records of one size on a UNIX stream, in the byte
// order of the machine. The header is 8 bytes of magic, u8 version, u8 revision, u16 type, u32 sequence, u32 size.

inline constexpr std::size_t kRecordSize = 228;
inline constexpr std::size_t kHeaderSize = 20;
inline constexpr std::size_t kMaxApplicationName = 40;
inline constexpr std::size_t kMaxLogMessage = 192;

enum class RecordType : std::uint16_t {
    init,                ///< of an application: name, u32 interval in ms, four u32 of times in s, u32 action
    init_ack,            ///< u32 accepted
    final,               ///< of an application: log message
    challenge,           ///< u32 challenge
    challenge_response,  ///< of an application: u32 challenge, u32 healthy, u32 action, log message
    action_notify,       ///< u32 invocation, u32 event, u32 notification
    action_response,     ///< of an application: the same three, u32 vote, log message
};

class Record {
public:
    /// `bytes`: kRecordSize of them.
    explicit Record(std::string_view bytes);

    std::uint16_t type() const;
    /// The number at `offset` of the body.
    std::uint32_t number(std::size_t offset) const;
    /// The text at `offset` of the body: up to its zero, or all `size` bytes.
    std::string_view text(std::size_t offset, std::size_t size) const;
    /// The corrective action at `offset` of the body; what is none counts as `none`.
    model::CorrectiveAction action(std::size_t offset) const;

private:
    std::array<char, kRecordSize> bytes_;
};

/// Takes a stream of bytes apart. Whatever it reads, it holds less than a record when `next` has returned nothing.
class RecordReader {
public:
    void add(std::string_view bytes) { waiting_ += bytes; }
    std::optional<Record> next();
    /// Bytes that were part of no record.
    std::uint64_t skipped() const { return skipped_; }

private:
    bool seek_magic();
    void skip(std::size_t count);

    std::string waiting_;
    std::uint64_t skipped_ = 0;
};

std::string encode(RecordType type, std::uint32_t sequence, std::initializer_list<std::uint32_t> body);

}  // namespace vitalwire::guest::sdk
