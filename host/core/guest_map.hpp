#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>

#include "base/ids.hpp"

namespace vitalwire::host {

/// A guest's id, for who asks a map for the same guest with every beat: it keeps where it was found, which holds until
/// something is erased from the map. A look-up would touch the guests of others, which are in no cache.
class GuestKey {
public:
    explicit GuestKey(base::GuestId id) : id_(std::move(id)) {}

    const base::GuestId& id() const { return id_; }

private:
    template <class T>
    friend class GuestMap;

    base::GuestId id_;
    mutable const void* map_ = nullptr;
    mutable void* found_ = nullptr;
    mutable std::uint64_t erased_ = 0;  ///< from the map, when it was found
};

/// Guests by id. They stay where they are until they are erased.
template <class T>
class GuestMap {
public:
    T* find(const base::GuestId& id) {
        const auto found = guests_.find(id);
        return found == guests_.end() ? nullptr : &found->second;
    }
    const T* find(const base::GuestId& id) const {
        const auto found = guests_.find(id);
        return found == guests_.end() ? nullptr : &found->second;
    }
    T* find(const GuestKey& key) {
        if (key.map_ == this && key.erased_ == erased_) return static_cast<T*>(key.found_);
        T* found = find(key.id_);
        key.map_ = found == nullptr ? nullptr : this;
        key.found_ = found;
        key.erased_ = erased_;
        return found;
    }

    /// The guest, made of `arguments` when it is new.
    template <class... Arguments>
    T& emplace(const base::GuestId& id, Arguments&&... arguments) {
        return guests_.try_emplace(id, std::forward<Arguments>(arguments)...).first->second;
    }
    void erase(const base::GuestId& id) { erased_ += guests_.erase(id); }
    void clear() {
        erased_ += guests_.size();
        guests_.clear();
    }

    auto begin() { return guests_.begin(); }
    auto end() { return guests_.end(); }
    auto begin() const { return guests_.begin(); }
    auto end() const { return guests_.end(); }

private:
    std::unordered_map<base::GuestId, T> guests_;
    std::uint64_t erased_ = 0;
};

}  // namespace vitalwire::host
