// Written by keras-transfer $version. A log of predictions: lines as keras_transfer/operations/log.py writes them, in a
// ring buffer that is sent over serial when there is time. A full buffer loses its oldest lines.
#ifndef LOG_H_
#define LOG_H_

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

constexpr size_t kLogBytes = 2048;
constexpr size_t kLogLine = 512;  // of a line, with its end; a longer one is not written

// Letters of a line in the making; `used` above `room` where they are too many.
struct LogText {
  char* to;
  size_t room, used;

  void Letter(char letter) {
    if (used < room) to[used] = letter;
    ++used;
  }
  void Add(const char* letters) {
    while (*letters) Letter(*letters++);
  }
  // At least so many digits.
  void Digits(uint64_t number, int least) {
    char digits[20];
    int count = 0;
    while (number > 0 || count < least) {
      digits[count++] = static_cast<char>('0' + number % 10);
      number /= 10;
    }
    while (count > 0) Letter(digits[--count]);
  }
  // With so many digits behind the point, of halves the upper one.
  void Decimal(double value, int places) {
    uint64_t unit = 1;
    for (int i = 0; i < places; ++i) unit *= 10;
    const double bounded = value < -1e9 ? -1e9 : value > 1e9 ? 1e9 : value;
    const int64_t whole = static_cast<int64_t>(floor(bounded * static_cast<double>(unit) + 0.5));
    const uint64_t size = static_cast<uint64_t>(whole < 0 ? -whole : whole);
    if (whole < 0) Letter('-');
    Digits(size / unit, 1);
    Letter('.');
    Digits(size % unit, places);
  }
  // In quotes, as JSON has it.
  void Quoted(const char* text) {
    static const char kHex[] = "0123456789abcdef", kShort[] = "\b\f\n\r\t\"\\", kNamed[] = "bfnrt\"\\";
    Letter('"');
    for (; *text; ++text) {
      const char* found = strchr(kShort, *text);
      const unsigned char byte = static_cast<unsigned char>(*text);
      if (found != nullptr) {
        Letter('\\');
        Letter(kNamed[found - kShort]);
      } else if (byte < 32) {
        Add("\\u00");
        Letter(kHex[byte >> 4]);
        Letter(kHex[byte & 15]);
      } else {
        Letter(*text);
      }
    }
    Letter('"');
  }
  // Milliseconds since 1970 as UTC; days by Howard Hinnant's civil_from_days.
  void Time(int64_t milliseconds) {
    const int64_t days = milliseconds / 86400000 + 719468, rest = milliseconds % 86400000;
    const int64_t era = days / 146097, day = days % 146097;
    const int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    const int64_t of_year = day - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    Letter('"');
    Digits(static_cast<uint64_t>(year + era * 400 + (month > 9)), 4);
    Letter('-');
    Digits(static_cast<uint64_t>(month < 10 ? month + 3 : month - 9), 2);
    Letter('-');
    Digits(static_cast<uint64_t>(of_year - (153 * month + 2) / 5 + 1), 2);
    Letter('T');
    Digits(static_cast<uint64_t>(rest / 3600000), 2);
    Letter(':');
    Digits(static_cast<uint64_t>(rest / 60000 % 60), 2);
    Letter(':');
    Digits(static_cast<uint64_t>(rest / 1000 % 60), 2);
    Letter('.');
    Digits(static_cast<uint64_t>(rest % 1000), 3);
    Add("Z\"");
  }
};

// The line of a prediction, ended by a line feed; returns its length, or 0 where it does not fit. `names` and
// `probabilities` are of the likeliest classes, best first. `time` is in milliseconds since 1970, below 0 where there is
// no clock; `score` and `ms` are NAN where they are not known.
inline size_t LogLine(char* to, size_t room, int64_t time, const char* model, const char* const* names,
                      const double* probabilities, int count, double score, double ms) {
  LogText text = {to, room, 0};
  text.Letter('{');
  if (time >= 0) {
    text.Add("\"time\":");
    text.Time(time);
    text.Letter(',');
  }
  text.Add("\"model\":");
  text.Quoted(model);
  text.Add(",\"top\":[");
  for (int i = 0; i < count; ++i) {
    text.Add(i ? ",[" : "[");
    text.Quoted(names[i]);
    text.Letter(',');
    text.Decimal(probabilities[i], 4);
    text.Letter(']');
  }
  text.Letter(']');
  if (isfinite(score)) {
    text.Add(",\"score\":");
    text.Decimal(score, 3);
  }
  if (isfinite(ms)) {
    text.Add(",\"ms\":");
    text.Decimal(ms, 1);
  }
  text.Add("}\n");
  return text.used <= room ? text.used : 0;
}

// Lines that wait to be sent. All zeros is an empty one.
struct RingLog {
  char bytes[kLogBytes];
  size_t first, used, lost;  // lost: lines that were not sent

  bool Add(const char* line, size_t length) {
    if (length == 0 || length > kLogBytes) return ++lost, false;
    while (used + length > kLogBytes) {
      while (Take() != '\n') {
      }
      ++lost;
    }
    for (size_t i = 0; i < length; ++i) bytes[(first + used++) % kLogBytes] = line[i];
    return true;
  }
  // Sends the oldest line by `put`; false where there is none.
  bool Send(void (*put)(char)) {
    if (used == 0) return false;
    char letter = 0;
    while (letter != '\n') put(letter = Take());
    return true;
  }
  char Take() {
    const char letter = bytes[first];
    first = (first + 1) % kLogBytes;
    --used;
    return letter;
  }
};

#endif  // LOG_H_
