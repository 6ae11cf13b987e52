// 会话页面的中文文字。

import type { ChatMessages } from "./en-chat.ts";

/** 中文与拉丁字母、数字之间留一个空格。 */
function spaced(parts: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  return parts.reduce((text, part, i) => {
    const value = String(values[i - 1]);
    const before = HAN.test(text.slice(-1)) && LATIN.test(value.slice(0, 1)) ? " " : "";
    const after = LATIN.test(value.slice(-1)) && HAN.test(part.slice(0, 1)) ? " " : "";
    return text + before + value + after + part;
  });
}

const HAN = /\p{Script=Han}/u;
const LATIN = /[\p{Script=Latin}\d]/u;

export const zhChat: ChatMessages = {
  logOut: "退出登录",

  chats: "消息",
  contacts: "联系人",
  settings: "设置",
  mainNav: "主导航",
  back: "返回",
  close: "关闭",
  cancel: "取消",
  ok: "好",
  newVersion: "页面有新版本。",
  notKept: "浏览器暂时不为本页保存任何内容。页面可以照常使用，但关闭后需要重新登录，还没发出的消息会丢失。",

  filterChats: "查找会话",
  newGroup: "新建群聊",
  noChats: "还没有会话",
  noChatsHint: "添加联系人，对方同意后就可以开始聊天。",
  asking: (n) => `有 ${n} 人想加你为联系人`,
  answer: "去处理",
  noMatch: "没有匹配的名字",
  pickChat: "选择一个会话",
  pickChatHint: "也可以按 Ctrl K 快速跳转。",
  addContact: "添加联系人",
  draft: "[草稿]",
  you: "我",
  said: (who, text) => `${who}：${text}`,
  typing: "正在输入",
  typingOne: (name) => spaced`${name}正在输入`,
  typingMany: (n) => `${n} 人正在输入`,
  unreadCount: (n) => (n >= 1000 ? "999+ 条未读" : `${n} 条未读`),
  membersCount: (n) => `${n} 位成员`,

  online: "在线",
  offline: "离线",
  lastSeen: (when) => spaced`${when}在线`,
  messages: "消息记录",
  writeMessage: "写点什么…",
  send: "发送",
  jumpNewest: "回到最新",
  details: "详情",
  emptyChat: "还没有消息",
  emptyChatHint: "打个招呼吧。你发出的内容会一直保留，直到送达。",
  beginning: "会话从这里开始",
  loadFailed: "消息没有加载出来。",
  notWritable: "你们已不是联系人，可以查看记录，但不能发消息。",
  tooLong: (over) => `超出 ${over} 字节，请分几条发送。`,
  keepsUnsent: (n) => (n === 0 ? "网络已断开。写下的内容会保留，恢复后自动发出。" : `网络已断开。${n} 条消息已保留，恢复后自动发出。`),
  holdsUnsent: (n) =>
    n === 0
      ? "网络已断开，浏览器又无法保存内容。只要不关闭本页，恢复后会自动发出。"
      : `网络已断开，浏览器又无法保存内容。只要不关闭本页，${n} 条消息会在恢复后自动发出。`,

  stateSending: "发送中",
  stateSent: "已发送",
  stateDelivered: "已送达",
  stateRead: "已读",
  stateFailed: "发送失败",
  discard: "删除",

  sysCreated: (who, title) => spaced`${who}创建了群聊“${title}”`,
  sysContact: "你们已成为联系人",
  sysAdded: (who, whom) => spaced`${who}邀请${whom}加入群聊`,
  sysLeft: (who) => spaced`${who}退出了群聊`,
  andMore: (n) => `另外 ${n} 人`,
  somebody: "有人",

  today: "今天",
  yesterday: "昨天",

  quic: "QUIC",
  wss: "WSS",
  ws: "WS",
  connecting: "连接中",
  noConnection: "未连接",
  quicTitle: "通过 WebTransport（QUIC）连接",
  wsTitle: "通过 WebSocket 连接",
  slow: "网络较慢",
  connection: "连接",
  roundTrip: (ms) => `往返 ${ms} 毫秒`,
  connectingTitle: "正在连接服务器",
  arrivedRequest: (who) => spaced`${who}想加你为联系人。`,
  arrivedAccept: (who) => spaced`${who}已成为你的联系人。`,
  arrivedGroup: (who, group) => spaced`${who}邀请你加入了“${group}”。`,
  show: "查看",
  nothingLost: "网络已切换，没有丢失消息。",

  findPeople: "按用户名找人",
  findHint: "请至少输入用户名的前 2 个字符，例如 @ada。",
  requests: "新的请求",
  waiting: "等待对方同意",
  yourContacts: "我的联系人",
  noContacts: "还没有联系人",
  noContactsHint: "在上方按用户名找人，向对方发送请求。",
  nobody: "没有找到这个人",
  note: "留言",
  notePlaceholder: "你好，是我。",
  ask: "发送请求",
  add: "添加",
  accept: "同意",
  refuse: "拒绝",
  withdraw: "撤回",
  asked: "请求已发送",
  isContact: "已是联系人",
  removeContact: "删除联系人",
  removeContactAsk: "删除后你们不能再互发消息，以前的记录会保留。",
  message: "发消息",

  groupTitle: "群名称",
  groupMembers: "成员",
  create: "创建",
  addPeople: "邀请成员",
  leaveGroup: "退出群聊",
  leaveAsk: "退出后不再收到群消息，需要别人再次邀请才能加入。",
  nobodyToAdd: "你的联系人都已在群里。",
  shownOf: (shown, all) => `共 ${all} 人，显示 ${shown} 人`,

  account: "账号",
  appearance: "外观",
  theme: "主题",
  themeSystem: "跟随系统",
  themeLight: "浅色",
  themeDark: "深色",
  notifications: "通知",
  notificationsHint: "页面打开而你在看别处时提醒。",
  notificationsOn: "开",
  notificationsOff: "关",
  notificationsBlocked: "浏览器已屏蔽本站通知。请在地址栏旁允许，再回来打开。",
  devices: "设备",
  thisDevice: "本机",
  lastActive: (when) => spaced`${when}活跃`,
  signedIn: (when) => spaced`${when}登录`,
  deviceOn: (browser, system) => spaced`${system}上的${browser}`,
  signOutDevice: "退出",
  signOutOf: (name) => `退出 ${name}`,
  changePassword: "修改密码",
  currentPassword: "当前密码",
  wrongPassword: "当前密码不对。",
  newPassword: "新密码",
  passwordChanged: (n) => (n === 0 ? "密码已修改。" : `密码已修改，其他 ${n} 台设备已退出。`),
  logOutUnsent: (n) => `有 ${n} 条消息还没发出，退出后会丢失。`,

  shortcuts: "键盘快捷键",
  shortcutSend: "发送",
  shortcutBreak: "换行",
  shortcutCancel: "关闭，或离开会话",
  shortcutJump: "跳转到会话",
  shortcutWalk: "上一个或下一个未读会话",
  shortcutHelp: "显示本列表",
  jumpTo: "跳转到",
};
