// The words of a group's details, which come with them.

import { enGroups, type GroupMessages } from "./en-groups.ts";
import { language } from "./index.ts";
import { zhGroups } from "./zh-groups.ts";

/** The words in the current language; reading them in a view follows a change. */
export const tg = (): GroupMessages => (language() === "zh" ? zhGroups : enGroups);
