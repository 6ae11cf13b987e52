// The words of the conversations in English.

export const enChat = {
  logOut: "Log out",

  // Around
  chats: "Chats",
  contacts: "Contacts",
  settings: "Settings",
  mainNav: "Main",
  back: "Back",
  close: "Close",
  cancel: "Cancel",
  ok: "OK",
  newVersion: "There is a newer version of this page.",
  notKept:
    "This browser keeps nothing for this page at the moment. It works, but once you close it you have to log in again, and messages that have not gone out are lost.",

  // Conversations
  filterChats: "Find a conversation",
  newGroup: "New group",
  noChats: "No conversations yet",
  noChatsHint: "Add a contact, and a conversation begins when they accept.",
  asking: (n: number) => (n === 1 ? "1 person asks to be your contact" : `${n} people ask to be your contacts`),
  answer: "Answer",
  noMatch: "Nothing with that name",
  pickChat: "Pick a conversation",
  pickChatHint: "Or press Ctrl K to jump to one.",
  addContact: "Add a contact",
  draft: "Draft:",
  you: "You",
  said: (who: string, text: string) => `${who}: ${text}`,
  typing: "typing",
  typingOne: (name: string) => `${name} is typing`,
  typingMany: (n: number) => `${n} people are typing`,
  unreadCount: (n: number) => (n >= 1000 ? "999+ unread" : n === 1 ? "1 unread" : `${n} unread`),
  membersCount: (n: number) => (n === 1 ? "1 member" : `${n} members`),

  // A conversation
  online: "online",
  offline: "offline",
  lastSeen: (when: string) => `last seen ${when}`,
  messages: "Messages",
  writeMessage: "Write a message",
  send: "Send",
  jumpNewest: "Jump to newest",
  details: "Details",
  emptyChat: "Nothing here yet",
  emptyChatHint: "Say hello. What you send is kept until it has arrived.",
  beginning: "This is where it began",
  loadFailed: "The messages could not be loaded.",
  notWritable: "You are not contacts any more. You can read here, but not write.",
  tooLong: (over: number) => `${over} bytes too long. Send it in parts.`,
  keepsUnsent: (n: number) =>
    n === 0 ? "No connection. What you write is kept and goes out when you are back." : n === 1 ? "No connection. 1 message is kept and goes out when you are back." : `No connection. ${n} messages are kept and go out when you are back.`,
  holdsUnsent: (n: number) =>
    n === 0
      ? "No connection, and this browser keeps nothing: what you write goes out when you are back, if this page stays open."
      : n === 1
        ? "No connection, and this browser keeps nothing: 1 message goes out when you are back, if this page stays open."
        : `No connection, and this browser keeps nothing: ${n} messages go out when you are back, if this page stays open.`,

  // States of a message
  stateSending: "Sending",
  stateSent: "Sent",
  stateDelivered: "Delivered",
  stateRead: "Read",
  stateFailed: "Not sent",
  discard: "Discard",

  // What happened in a group
  sysCreated: (who: string, title: string) => `${who} made the group “${title}”`,
  sysContact: "You are contacts now",
  sysAdded: (who: string, whom: string) => `${who} added ${whom}`,
  sysLeft: (who: string) => `${who} left`,
  andMore: (n: number) => `${n} more`,
  somebody: "Somebody",

  // Days
  today: "Today",
  yesterday: "Yesterday",

  // The connection
  quic: "QUIC",
  wss: "WSS",
  ws: "WS",
  connecting: "Connecting",
  noConnection: "Offline",
  quicTitle: "Connected by WebTransport (QUIC)",
  wsTitle: "Connected by WebSocket",
  slow: "Slow connection",
  connection: "Connection",
  roundTrip: (ms: number) => `round trip ${ms} ms`,
  connectingTitle: "Looking for the server",
  arrivedRequest: (who: string) => `${who} asks to be your contact.`,
  arrivedAccept: (who: string) => `${who} is your contact now.`,
  arrivedGroup: (who: string, group: string) => `${who} added you to “${group}”.`,
  show: "Show",
  nothingLost: "Network changed. Nothing was lost.",

  // Contacts
  findPeople: "Find people by name",
  findHint: "Type at least 2 letters of their unique name, as @ada.",
  requests: "Requests",
  waiting: "Waiting for an answer",
  yourContacts: "Your contacts",
  noContacts: "No contacts yet",
  noContactsHint: "Find somebody by their name above and ask them.",
  nobody: "Nobody has that name",
  note: "Note",
  notePlaceholder: "Hi, it is me.",
  ask: "Send request",
  add: "Add",
  accept: "Accept",
  refuse: "Refuse",
  withdraw: "Withdraw",
  asked: "Request sent",
  isContact: "Contact",
  removeContact: "Remove contact",
  removeContactAsk: "You will not be able to write to each other. What was said stays.",
  message: "Message",

  // Groups
  groupTitle: "Title",
  groupMembers: "Members",
  create: "Create",
  addPeople: "Add people",
  leaveGroup: "Leave group",
  leaveAsk: "You will not get its messages any more, and somebody has to add you again.",
  nobodyToAdd: "All your contacts are here already.",
  shownOf: (shown: number, all: number) => `${shown} of ${all} are shown`,

  // Settings
  account: "Account",
  appearance: "Appearance",
  theme: "Theme",
  themeSystem: "System",
  themeLight: "Light",
  themeDark: "Dark",
  notifications: "Notifications",
  notificationsHint: "While this page is open and you look elsewhere.",
  notificationsOn: "On",
  notificationsOff: "Off",
  notificationsBlocked: "Your browser blocks them for this site. Allow them beside the address, then come back.",
  devices: "Devices",
  thisDevice: "This device",
  lastActive: (when: string) => `Active ${when}`,
  signedIn: (when: string) => `signed in ${when}`,
  deviceOn: (browser: string, system: string) => `${browser} on ${system}`,
  signOutDevice: "Sign out",
  signOutOf: (name: string) => `Sign out ${name}`,
  changePassword: "Change password",
  currentPassword: "Current password",
  wrongPassword: "This is not your current password.",
  newPassword: "New password",
  passwordChanged: (n: number) => (n === 0 ? "Password changed." : n === 1 ? "Password changed. 1 other device was signed out." : `Password changed. ${n} other devices were signed out.`),
  logOutUnsent: (n: number) => (n === 1 ? "1 message has not been sent and would be lost." : `${n} messages have not been sent and would be lost.`),

  // Keyboard
  shortcuts: "Keyboard",
  shortcutSend: "Send",
  shortcutBreak: "New line",
  shortcutCancel: "Close, or leave the conversation",
  shortcutJump: "Jump to a conversation",
  shortcutWalk: "Next or previous unread conversation",
  shortcutHelp: "This list",
  jumpTo: "Jump to",
};

/** The words of the conversations, in any language. */
export type ChatMessages = typeof enChat;
