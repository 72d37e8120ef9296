#include "guest/sdk_record.hpp"

#include <algorithm>
#include <cstring>

namespace vitalwire::guest::sdk {

namespace {

constexpr std::string_view kMagic = "FDFDA5A5";
constexpr std::uint8_t kVersion = 2;
constexpr std::uint8_t kRevision = 1;
constexpr std::size_t kTypeAt = 10;
constexpr std::size_t kSizeAt = 16;

template <class Number>
Number number_at(std::string_view bytes, std::size_t offset) {
    Number number{};
    std::memcpy(&number, bytes.substr(offset).data(), sizeof number);
    return number;
}

/// The revision may be any: it promises that the layout is that of the version.
bool is_ours(std::string_view header) {
    return static_cast<std::uint8_t>(header[kMagic.size()]) == kVersion &&
           number_at<std::uint32_t>(header, kSizeAt) == kRecordSize;
}

template <class Number>
void append(std::string& bytes, Number number) {
    bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace

Record::Record(std::string_view bytes) : bytes_() {
    bytes.copy(bytes_.data(), bytes_.size());
}

std::uint16_t Record::type() const {
    return number_at<std::uint16_t>({bytes_.data(), bytes_.size()}, kTypeAt);
}

std::uint32_t Record::number(std::size_t offset) const {
    return number_at<std::uint32_t>({bytes_.data(), bytes_.size()}, kHeaderSize + offset);
}

std::string_view Record::text(std::size_t offset, std::size_t size) const {
    const std::string_view field(bytes_.data() + kHeaderSize + offset, size);
    return field.substr(0, field.find('\0'));
}

model::CorrectiveAction Record::action(std::size_t offset) const {
    using model::CorrectiveAction;
    constexpr std::array kActions = {CorrectiveAction::none, CorrectiveAction::none, CorrectiveAction::reboot,
                                     CorrectiveAction::stop, CorrectiveAction::log};
    const std::uint32_t found = number(offset);
    return found < kActions.size() ? kActions.at(found) : CorrectiveAction::none;
}

std::optional<Record> RecordReader::next() {
    while (seek_magic() && waiting_.size() >= kHeaderSize) {
        if (!is_ours(waiting_)) {
            skip(kMagic.size());
            continue;
        }
        if (waiting_.size() < kRecordSize) break;
        const Record record(waiting_);
        waiting_.erase(0, kRecordSize);
        return record;
    }
    return std::nullopt;
}

bool RecordReader::seek_magic() {
    const std::size_t found = waiting_.find(kMagic);
    const bool is_there = found != std::string::npos;
    // The last bytes may be the beginning of one.
    skip(is_there ? found : waiting_.size() - std::min(waiting_.size(), kMagic.size() - 1));
    return is_there;
}

void RecordReader::skip(std::size_t count) {
    waiting_.erase(0, count);
    skipped_ += count;
}

std::string encode(RecordType type, std::uint32_t sequence, std::initializer_list<std::uint32_t> body) {
    std::string bytes(kMagic);
    append(bytes, kVersion);
    append(bytes, kRevision);
    append(bytes, static_cast<std::uint16_t>(type));
    append(bytes, sequence);
    append(bytes, static_cast<std::uint32_t>(kRecordSize));
    for (const std::uint32_t number : body)
        append(bytes, number);
    bytes.resize(kRecordSize);
    return bytes;
}

}  // namespace vitalwire::guest::sdk
