// Runs beside the page, where the browser makes sound: hands on what the microphone hears, one channel of it.

class Microphone extends AudioWorkletProcessor {
  process([[samples]]) {
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
}
registerProcessor("microphone", Microphone);
