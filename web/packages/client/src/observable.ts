// Values that a page can read and watch. Each value is immutable: a change is a new value.

/** A value to read now and to watch. */
export interface Observable<T> {
  get(): T;
  /** Calls back on every change, not at once; the result ends it. */
  subscribe(callback: (value: T) => void): () => void;
}

/** An observable that its owner sets. */
export class Cell<T> implements Observable<T> {
  #value: T;
  readonly #watchers = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get(): T {
    return this.#value;
  }

  set(value: T): void {
    if (value === this.#value) return;
    this.#value = value;
    for (const watcher of [...this.#watchers]) watcher(value);
  }

  subscribe(callback: (value: T) => void): () => void {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }
}

/** An observable that is computed at most once a microtask, when it was touched: for lists that many small changes move. */
export class Lazy<T> implements Observable<T> {
  readonly #cell: Cell<T>;
  readonly #compute: () => T;
  #dirty = false;

  constructor(compute: () => T) {
    this.#compute = compute;
    this.#cell = new Cell(compute());
  }

  touch(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    queueMicrotask(() => this.#refresh());
  }

  get(): T {
    this.#refresh();
    return this.#cell.get();
  }

  subscribe(callback: (value: T) => void): () => void {
    return this.#cell.subscribe(callback);
  }

  #refresh(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#cell.set(this.#compute());
  }
}
