// See micro_interpreter.h.
#pragma once
#include <cstdint>
#include <cstring>

namespace tflite {

enum BuiltinOperator : int32_t {};
struct Operator;

// A flatbuffer table: at its start the distance back to its vtable, whose third entry is where field 0 lies.
struct Model {
  uint32_t version() const {
    const auto* table = reinterpret_cast<const unsigned char*>(this);
    int32_t back;
    uint16_t field;
    uint32_t version;
    std::memcpy(&back, table, sizeof(back));
    std::memcpy(&field, table - back + 4, sizeof(field));
    std::memcpy(&version, table + field, sizeof(version));
    return version;
  }
};

inline const Model* GetModel(const void* file) {
  uint32_t root;
  std::memcpy(&root, file, sizeof(root));
  return reinterpret_cast<const Model*>(static_cast<const unsigned char*>(file) + root);
}

}  // namespace tflite
