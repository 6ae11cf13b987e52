// The icons of the page: strokes on a 24 x 24 field, in the colour of the text.

const PATHS = {
  chats: "M4 5h16v11H9l-5 4z",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4 21c1-5 15-5 16 0",
  settings: "M4 7h10m4 0h2M4 17h2m4 0h10M14 7a2 2 0 1 0 4 0 2 2 0 1 0-4 0M6 17a2 2 0 1 0 4 0 2 2 0 1 0-4 0",
  search: "M11 17a6 6 0 1 0 0-12 6 6 0 0 0 0 12m5-1 4 4",
  back: "m14 6-6 6 6 6",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  addPerson: "M10 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M3 21c1-5 13-5 14 0M19 8v6M16 11h6",
  group: "M9 12a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M2.5 20c.8-5 12.2-5 13 0M16 5.3a3.5 3.5 0 0 1 0 6.4M18 15.5c2 .6 3.2 2 3.5 4.5",
  send: "M12 19V5m-6 6 6-6 6 6",
  info: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16M12 11v5M12 8h.01",
  down: "M12 5v14m-6-6 6 6 6-6",
  leave: "M14 4h5v16h-5M4 12h11m-4-4 4 4-4 4",
  keyboard: "M3 7h18v11H3zM7 11h.01M11 11h.01M15 11h.01M8 14.5h8",
  eye: "M2.5 12c4-7 15-7 19 0-4 7-15 7-19 0M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6",
  eyeOff: "M4 4l16 16M9.5 5.600C14 4.5 19 7 21.5 12c-.7 1.2-1.5 2.3-2.5 3.2M15 18.4C10.5 19.5 5 17 2.5 12c.8-1.5 1.900-2.800 3.2-3.800",
  shield: "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9 12l2 2 4-4",
  clock: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16M12 8v4l3 2",
  sent: "m5 13 4 4 10-11",
  delivered: "m2 13 4 4 8-9M11 16l1 1 9-10",
  failed: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16M12 8v5M12 16h.01",
} as const;

/** The name of an icon. */
export type IconName = keyof typeof PATHS;

/** An icon; what it means is said by its button or by the text beside it. */
export function Icon(props: { name: IconName }) {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[props.name]} />
    </svg>
  );
}

/** Read: a filled disc with a tick, so that its shape alone tells it from "delivered". */
export function ReadIcon() {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true" class="disc">
      <circle cx="12" cy="12" r="9" />
      <path d="m7.5 12.5 3 3 6-6.5" />
    </svg>
  );
}
