// Records from the camera for some seconds, shows meanwhile what it sees, and returns the video as a data URL.
// What goes wrong is returned in words, for an exception would reach Python without them.
async (seconds) => {
  // What OpenCV decodes, best first; left to itself, a browser may choose AV1.
  const formats = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/mp4;codecs=avc1.42E01E", "video/mp4;codecs=avc1"];
  const pause = time => new Promise(resolve => setTimeout(resolve, 1000 * time));
  const preview = document.createElement("video"), words = document.createElement("p");
  let stream;
  try {
    const mimeType = formats.find(format => MediaRecorder.isTypeSupported(format));
    if (!mimeType) throw new Error("this browser records neither VP9, VP8 nor H.264; record with another one, or upload a file");
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
    Object.assign(preview, { srcObject: stream, muted: true, playsInline: true, width: 320 });
    document.body.append(preview, words);
    await preview.play();
    for (const left of [3, 2, 1]) {
      words.textContent = `Recording begins in ${left} s`;
      await pause(1);
    }
    words.textContent = `Recording for ${seconds} s`;
    const recorder = new MediaRecorder(stream, { mimeType }), parts = [];
    recorder.ondataavailable = event => parts.push(event.data);
    const stopped = new Promise(resolve => recorder.onstop = resolve);
    recorder.start();
    await pause(seconds);
    recorder.stop();
    await stopped;
    const reader = new FileReader(), read = new Promise(resolve => reader.onload = resolve);
    reader.readAsDataURL(new Blob(parts, { type: recorder.mimeType }));
    await read;
    return reader.result;
  } catch (error) {
    return `${error.name}: ${error.message}`;
  } finally {
    stream?.getTracks().forEach(track => track.stop());
    preview.remove();
    words.remove();
  }
}
