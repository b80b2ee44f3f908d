import type { LaneMemory, NativeCall } from '@calibrant/kernels';
import type { Gemm, Matrix } from './gemm.js';
import { withScratch } from './scratch.js';

/** Columns per panel: wide enough for fast products, narrow enough that the scalar work on diagonal blocks is small. */
const PANEL = 128;

/** A block of columns of a lower triangular matrix, with the rows from its diagonal block down. */
interface Panel {
  /** Its first column and row. */
  readonly start: number;
  readonly columns: number;
  readonly rows: number;
  /** f64 `[rows, columns]` */
  readonly address: number;
  /** Inverse of its diagonal block, f64 `[columns, columns]`. */
  readonly inverse: number;
}

/**
 * `u` with `(h + damp·I)⁻¹ = uᵀ·u`, f64 inside. With rows and columns in reverse order the factorization `h = r·rᵀ` (r upper) becomes the
 * ordinary one, `g = l·lᵀ` (l lower), and `u = r⁻¹` is `l⁻¹` reversed. l is kept as panels of columns, so that every operand of the left-looking
 * updates and of the inversion is a contiguous matrix, and both are nearly all matrix products.
 */
export function inverseCholeskyOperation(gemm: Gemm) {
  return ({ lane, inputs, outputs, attributes: { damp } }: NativeCall): void | Promise<void> => {
    const n = inputs['h']!.shape[0];
    const info = (value: number) => {
      (lane.view(outputs['info']) as Int32Array)[0] = value;
    };
    info(0);
    if (n === 0) return;
    return withScratch(lane, async (allocate) => {
      const panels: Panel[] = [];
      for (let start = 0; start < n; start += PANEL) {
        const columns = Math.min(PANEL, n - start);
        const rows = n - start;
        panels.push({ start, columns, rows, address: allocate(8 * rows * columns), inverse: allocate(8 * columns * columns) });
      }
      const spare = allocate(8 * n * Math.min(n, PANEL));
      const small = allocate(8 * PANEL * PANEL);
      const product = multiplier(gemm, lane);
      for (const panel of panels) {
        load(lane, panel, lane.view(inputs['h']!) as Float32Array, n, damp);
        const bad = await factorPanel(lane, product, panels, panel, spare);
        if (bad > 0) {
          (lane.view(outputs['u']) as Float32Array).fill(0);
          info(n - (panel.start + bad - 1));
          return;
        }
      }
      (lane.view(outputs['u']) as Float32Array).fill(0);
      for (const panel of panels) {
        await invertColumns(lane, product, panels, panel, spare, small);
        store(lane, panel, spare, lane.view(outputs['u']) as Float32Array, n);
      }
    });
  };
}

type Product = (y: Matrix, a: Matrix, b: Matrix, options: { transposeB: boolean; subtract: boolean }) => void | Promise<void>;

/** f64 products `y = a·op(b)`, or `y −= a·op(b)`. */
function multiplier(gemm: Gemm, lane: LaneMemory): Product {
  return (y, a, b, { transposeB, subtract }) =>
    gemm(lane, {
      dtype: 'f64',
      transposeA: false,
      transposeB,
      alpha: subtract ? -1 : 1,
      beta: 1,
      hasC: subtract,
      a,
      b,
      c: subtract ? y : undefined,
      y,
    });
}

/** The rows of a panel from the panel-local row `row` on. */
function rowsFrom({ rows, columns, address }: Pick<Panel, 'rows' | 'columns' | 'address'>, row: number, count = rows - row): Matrix {
  return { rows: count, columns, address: address + 8 * row * columns };
}

/** Copies the panel's part of the reversed, damped h: its lower triangle is h's upper triangle read backwards. */
function load(lane: LaneMemory, panel: Panel, h: Float32Array, n: number, damp: number): void {
  const values = new Float64Array(lane.memory.buffer, panel.address, panel.rows * panel.columns);
  for (let row = 0; row < panel.rows; row++) {
    const i = n - 1 - (panel.start + row);
    const last = Math.min(row, panel.columns - 1);
    for (let column = 0; column <= last; column++) {
      const j = n - 1 - (panel.start + column);
      values[row * panel.columns + column] = h[i * n + j] + (i === j ? damp : 0);
    }
  }
}

/** Makes the loaded panel one of l. Returns 0, or 1 + the panel-local row of a pivot that is not positive and finite. */
async function factorPanel(lane: LaneMemory, product: Product, panels: readonly Panel[], panel: Panel, spare: number): Promise<number> {
  const whole = rowsFrom(panel, 0);
  for (const before of panels) {
    if (before === panel) break;
    const row = panel.start - before.start;
    await product(whole, rowsFrom(before, row), rowsFrom(before, row, panel.columns), { transposeB: true, subtract: true });
  }
  const bad = lane.wasm.factorBlock(panel.columns, panel.address);
  if (bad > 0) return bad;
  lane.wasm.invertLowerBlock(panel.columns, panel.address, panel.inverse);
  if (panel.rows === panel.columns) return 0;
  const below = rowsFrom(panel, panel.columns);
  const solved = { ...below, address: spare };
  await product(
    solved,
    below,
    { rows: panel.columns, columns: panel.columns, address: panel.inverse },
    { transposeB: true, subtract: false },
  );
  const bytes = 8 * below.rows * below.columns;
  new Uint8Array(lane.memory.buffer).copyWithin(below.address, spare, spare + bytes);
  return 0;
}

/** The panel's columns of l⁻¹, rows from its diagonal block down, into `spare`: forward substitution by blocks. */
async function invertColumns(
  lane: LaneMemory,
  product: Product,
  panels: readonly Panel[],
  panel: Panel,
  spare: number,
  small: number,
): Promise<void> {
  const { columns } = panel;
  const part = (from: number, count: number): Matrix => ({ rows: count, columns, address: spare + 8 * (from - panel.start) * columns });
  new Float64Array(lane.memory.buffer, spare, panel.rows * columns).fill(0);
  const memory = () => new Uint8Array(lane.memory.buffer);
  memory().copyWithin(spare, panel.inverse, panel.inverse + 8 * columns * columns);
  for (const step of panels) {
    if (step.start < panel.start) continue;
    if (step !== panel) {
      const target = part(step.start, step.columns);
      const result = { ...target, address: small };
      await product(result, { rows: step.columns, columns: step.columns, address: step.inverse }, target, {
        transposeB: false,
        subtract: false,
      });
      memory().copyWithin(target.address, small, small + 8 * step.columns * columns);
    }
    const rest = step.rows - step.columns;
    if (rest > 0)
      await product(part(step.start + step.columns, rest), rowsFrom(step, step.columns), part(step.start, step.columns), {
        transposeB: false,
        subtract: true,
      });
  }
}

/** Writes columns of l⁻¹ reversed into u. */
function store(lane: LaneMemory, panel: Panel, spare: number, u: Float32Array, n: number): void {
  const values = new Float64Array(lane.memory.buffer, spare, panel.rows * panel.columns);
  for (let row = 0; row < panel.rows; row++) {
    const i = n - 1 - (panel.start + row);
    const last = Math.min(row, panel.columns - 1);
    for (let column = 0; column <= last; column++) u[i * n + n - 1 - (panel.start + column)] = values[row * panel.columns + column];
  }
}
