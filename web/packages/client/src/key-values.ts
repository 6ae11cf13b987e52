// Small texts by their keys, as in localStorage: what the browser does not take is in memory, for
// as long as the page lives.

/** Where texts are kept between visits: `localStorage` has this shape. */
export interface KeyValues {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Key values that never throw. A browser may refuse its own at each access, or have no room left. */
export interface SafeKeyValues extends KeyValues {
  /** Whether everything that was set is kept beyond this page. What is not is tried again. */
  readonly kept: boolean;
}

/** What `source` gives, and memory where that fails. */
export function keyValues(source: () => KeyValues | undefined): SafeKeyValues {
  /** What could not be set there; null: what could not be removed. */
  const memory = new Map<string, string | null>();
  const change = (key: string, value: string | null, work: (values: KeyValues) => void) => {
    try {
      const values = source();
      if (!values) throw new TypeError("no storage");
      work(values);
      memory.delete(key);
    } catch {
      memory.set(key, value);
    }
  };
  return {
    get kept() {
      for (const [key, value] of [...memory]) {
        change(key, value, (values) => (value === null ? values.removeItem(key) : values.setItem(key, value)));
      }
      return memory.size === 0;
    },
    getItem: (key) => {
      const held = memory.get(key);
      if (held !== undefined) return held;
      try {
        return source()?.getItem(key) ?? null;
      } catch {
        return null;
      }
    },
    setItem: (key, value) => change(key, value, (values) => values.setItem(key, value)),
    removeItem: (key) => change(key, null, (values) => values.removeItem(key)),
  };
}
