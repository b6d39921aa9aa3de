// Arduino's library has it, empty: it makes the library found.
