// Which point lies where: a grid of cells over the points, made once.

export class Picker {
  /** x, y: Float32Array (n,). */
  constructor(x, y) {
    this.x = x;
    this.y = y;
    const n = x.length;
    let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let i = 0; i < n; i++) {
      if (x[i] < left) left = x[i];
      if (x[i] > right) right = x[i];
      if (y[i] < top) top = y[i];
      if (y[i] > bottom) bottom = y[i];
    }
    this.bounds = n ? { left, right, top, bottom } : { left: 0, right: 1, top: 0, bottom: 1 };
    this.side = Math.max(1, Math.min(512, Math.ceil(Math.sqrt(n / 4))));
    this.across = Math.max(this.bounds.right - this.bounds.left, 1e-9) / this.side;
    this.down = Math.max(this.bounds.bottom - this.bounds.top, 1e-9) / this.side;
    // Points in the order of their cells; first[c] to first[c + 1] are those of cell c.
    const cell = new Uint32Array(n);
    this.first = new Uint32Array(this.side * this.side + 1);
    for (let i = 0; i < n; i++) {
      cell[i] = this.row(y[i]) * this.side + this.column(x[i]);
      this.first[cell[i] + 1]++;
    }
    for (let c = 0; c < this.side * this.side; c++) this.first[c + 1] += this.first[c];
    const next = this.first.slice();
    this.order = new Uint32Array(n);
    for (let i = 0; i < n; i++) this.order[next[cell[i]]++] = i;
  }

  column(x) {
    return Math.min(this.side - 1, Math.max(0, Math.floor((x - this.bounds.left) / this.across)));
  }

  row(y) {
    return Math.min(this.side - 1, Math.max(0, Math.floor((y - this.bounds.top) / this.down)));
  }

  /** Index of the point nearest to (px, py), at most `reach` away; −1 if there is none. */
  nearest(px, py, reach) {
    let best = -1;
    let least = reach * reach;
    const visit = (i) => {
      const distance = (this.x[i] - px) ** 2 + (this.y[i] - py) ** 2;
      if (distance <= least) [best, least] = [i, distance];
    };
    this.visit(px - reach, py - reach, px + reach, py + reach, visit);
    return best;
  }

  /** Indices of the points inside a polygon [[x, y], …], ascending: Uint32Array. */
  inside(polygon) {
    const xs = polygon.map(([a]) => a);
    const ys = polygon.map(([, b]) => b);
    const found = [];
    this.visit(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys), (i) => {
      let odd = false;
      for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++) {
        if (ys[a] > this.y[i] === ys[b] > this.y[i]) continue;
        const cut = xs[a] + ((this.y[i] - ys[a]) / (ys[b] - ys[a])) * (xs[b] - xs[a]);
        if (this.x[i] < cut) odd = !odd;
      }
      if (odd) found.push(i);
    });
    return Uint32Array.from(found).sort();
  }

  /** Calls `visit` for every point in the cells that a box touches. */
  visit(left, top, right, bottom, visit) {
    for (let r = this.row(top); r <= this.row(bottom); r++) {
      const row = r * this.side;
      const stop = this.first[row + this.column(right) + 1];
      for (let k = this.first[row + this.column(left)]; k < stop; k++) visit(this.order[k]);
    }
  }
}
