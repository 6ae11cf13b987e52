// The methods of the contract that are called inside a session.

import type { DescMessage } from "@bufbuild/protobuf";
import * as chat from "./gen/gogochat/v1/chat_pb.ts";
import * as social from "./gen/gogochat/v1/social_pb.ts";
import * as sync from "./gen/gogochat/v1/sync_pb.ts";

/** A method: its path and its messages. */
export interface Method<I extends DescMessage, O extends DescMessage> {
  readonly name: string;
  readonly input: I;
  readonly output: O;
}

function method<I extends DescMessage, O extends DescMessage>(name: string, input: I, output: O): Method<I, O> {
  return { name: `gogochat.v1.${name}`, input, output };
}

export const SendMessage = method("ChatService/SendMessage", chat.SendMessageRequestSchema, chat.SendMessageResponseSchema);
export const CreateGroup = method("ChatService/CreateGroup", chat.CreateGroupRequestSchema, chat.CreateGroupResponseSchema);
export const AddMembers = method("ChatService/AddMembers", chat.AddMembersRequestSchema, chat.AddMembersResponseSchema);
export const LeaveGroup = method("ChatService/LeaveGroup", chat.LeaveGroupRequestSchema, chat.LeaveGroupResponseSchema);
export const GetConversation = method(
  "ChatService/GetConversation",
  chat.GetConversationRequestSchema,
  chat.ConversationSchema,
);
export const ListMembers = method("ChatService/ListMembers", chat.ListMembersRequestSchema, chat.ListMembersResponseSchema);
export const ListEvents = method("ChatService/ListEvents", chat.ListEventsRequestSchema, chat.ListEventsResponseSchema);

export const FindPeople = method("SocialService/FindPeople", social.FindPeopleRequestSchema, social.FindPeopleResponseSchema);
export const GetPeople = method("SocialService/GetPeople", social.GetPeopleRequestSchema, social.GetPeopleResponseSchema);
export const RequestContact = method(
  "SocialService/RequestContact",
  social.RequestContactRequestSchema,
  social.RequestContactResponseSchema,
);
export const AcceptContact = method(
  "SocialService/AcceptContact",
  social.AcceptContactRequestSchema,
  social.AcceptContactResponseSchema,
);
export const RemoveContact = method(
  "SocialService/RemoveContact",
  social.RemoveContactRequestSchema,
  social.RemoveContactResponseSchema,
);
export const ListContacts = method(
  "SocialService/ListContacts",
  social.ListContactsRequestSchema,
  social.ListContactsResponseSchema,
);
export const ListBlocks = method("SocialService/ListBlocks", social.ListBlocksRequestSchema, social.ListBlocksResponseSchema);
export const GetPresence = method(
  "SocialService/GetPresence",
  social.GetPresenceRequestSchema,
  social.GetPresenceResponseSchema,
);

export const Sync = method("SyncService/Sync", sync.SyncRequestSchema, sync.SyncResponseSchema);
