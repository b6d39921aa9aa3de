// What the sketch uses of Arduino, declared for a syntax check.
#pragma once
#include <cstddef>
#include <cstdint>

struct SerialPort {
  void begin(unsigned long baud);
  explicit operator bool();
  size_t print(const char* text);
  size_t print(unsigned long number);
  size_t print(double number, int digits = 2);
  size_t println(const char* text);
  size_t println(int number);
};
extern SerialPort Serial;
unsigned long millis();
unsigned long micros();
int analogRead(int pin);
constexpr int A0 = 14;
void delay(unsigned long milliseconds);
