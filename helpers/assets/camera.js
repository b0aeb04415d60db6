// Records from the camera for some seconds, with a preview, and returns the video as a data URL.
// Errors are returned as text, because an exception would reach Python without its message.
async (seconds) => {
  // Formats that OpenCV decodes, best first; without a choice, a browser may record AV1.
  const formats = [
    "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/mp4;codecs=avc1.42E01E", "video/mp4;codecs=avc1",
  ];
  const pause = time => new Promise(resolve => setTimeout(resolve, 1000 * time));
  const preview = document.createElement("video"), status = document.createElement("p");
  let stream;
  try {
    const mimeType = formats.find(format => MediaRecorder.isTypeSupported(format));
    if (!mimeType) {
      throw new Error("this browser records neither VP9, VP8 nor H.264; use another browser, or upload a file");
    }
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
    Object.assign(preview, { srcObject: stream, muted: true, playsInline: true, width: 320 });
    document.body.append(preview, status);
    await preview.play();
    for (const remaining of [3, 2, 1]) {
      status.textContent = `Recording starts in ${remaining} s`;
      await pause(1);
    }
    status.textContent = `Recording for ${seconds} s`;
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
    status.remove();
  }
}
