// What the sketch for series uses of Arduino's IMU, declared for a syntax check.
#pragma once

struct LSM9DS1Class {
  int begin();
  int accelerationAvailable();
  int readAcceleration(float& x, float& y, float& z);
  int gyroscopeAvailable();
  int readGyroscope(float& x, float& y, float& z);
};
extern LSM9DS1Class IMU;
