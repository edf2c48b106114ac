// Reads the bodies that the server sends over OTLP: protobuf, decoded as far as the tests look.

/** The fields of one message as `[number, value]`; a value is a Buffer, or undefined for numbers. */
function* message(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    let shift = 1;
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error('a body that ends in the middle of a field');
      value += (byte & 127) * shift;
      if (byte < 128) return value;
      shift *= 128;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    let value;
    switch (key & 7) {
      case 0: varint(); break;
      case 1: at += 8; break;
      case 2: {
        const length = varint();
        value = bytes.subarray(at, at + length);
        at += length;
        break;
      }
      case 5: at += 4; break;
      default: throw new Error(`an unknown wire type ${key & 7}`);
    }
    yield [Math.floor(key / 8), value];
  }
}

const all = (bytes, number) => [...message(bytes)].filter(([n]) => n === number).map(([, value]) => value);
const keys = (bytes, number) => all(bytes, number).map((attribute) => all(attribute, 1)[0].toString());

/** Every span of an ExportTraceServiceRequest: `{ traceId, name, keys }`, keys of the span, its events, links and resource. */
export function spans(body) {
  return all(body, 1).flatMap((resourceSpans) => {
    const resource = all(resourceSpans, 1).flatMap((r) => keys(r, 1));
    return all(resourceSpans, 2).flatMap((scopeSpans) => all(scopeSpans, 2)).map((span) => ({
      traceId: all(span, 1)[0].toString('hex'),
      name: all(span, 5)[0].toString(),
      keys: [
        ...resource, ...keys(span, 9),
        ...all(span, 11).flatMap((event) => keys(event, 3)), ...all(span, 13).flatMap((link) => keys(link, 4)),
      ],
    }));
  });
}
