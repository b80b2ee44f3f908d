/** What one `Gemm` node is built for: `y = alpha · op(a) · op(b) + beta · c`. */
export interface GemmForm {
  readonly dtype: 'f32' | 'f64';
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly alpha: number;
  readonly beta: number;
  readonly hasC: boolean;
}

/**
 * An ONNX model of a single `Gemm` node whose operands are all graph inputs, as protobuf bytes (onnx.proto3, IR version 8, opset 13).
 * Sizes are symbolic, so that one session serves all of them.
 */
export function gemmModel({ dtype, transposeA, transposeB, alpha, beta, hasC }: GemmForm): Uint8Array {
  const attributes = [float('alpha', alpha), float('beta', beta), integer('transA', transposeA), integer('transB', transposeB)];
  const inputs = hasC ? ['A', 'B', 'C'] : ['A', 'B'];
  const node = [
    ...inputs.map((name) => text(1, name)),
    text(2, 'Y'),
    text(4, 'Gemm'),
    ...attributes.map((attribute) => message(5, attribute)),
  ];
  const operand = (name: string) => valueInfo(name, dtype === 'f32' ? 1 : 11);
  const graph = [message(1, node), text(2, 'gemm'), ...inputs.map((name) => message(11, operand(name))), message(12, operand('Y'))];
  return Uint8Array.from([varint(1, 8), message(7, graph), message(8, [text(1, ''), varint(2, 13)])].flat());
}

type Bytes = number[];

/** A tensor of the element type, its rank and sizes left open. */
function valueInfo(name: string, elementType: number): Bytes[] {
  return [text(1, name), message(2, [message(1, [varint(1, elementType)])])];
}

function float(name: string, value: number): Bytes[] {
  const bytes = new Uint8Array(Float32Array.of(value).buffer);
  return [text(1, name), [...tag(2, 5), ...bytes], varint(20, 1)];
}

function integer(name: string, value: boolean): Bytes[] {
  return [text(1, name), varint(3, Number(value)), varint(20, 2)];
}

function tag(field: number, wireType: number): Bytes {
  return encodeVarint(field * 8 + wireType);
}

function varint(field: number, value: number): Bytes {
  return [...tag(field, 0), ...encodeVarint(value)];
}

function text(field: number, value: string): Bytes {
  return delimited(field, [...new TextEncoder().encode(value)]);
}

function message(field: number, parts: Bytes[]): Bytes {
  return delimited(field, parts.flat());
}

function delimited(field: number, bytes: Bytes): Bytes {
  return [...tag(field, 2), ...encodeVarint(bytes.length), ...bytes];
}

function encodeVarint(value: number): Bytes {
  const bytes: Bytes = [];
  while (value > 127) {
    bytes.push((value & 127) | 128);
    value = Math.floor(value / 128);
  }
  return [...bytes, value];
}
