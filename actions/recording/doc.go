// Package recording reads and writes robot demonstrations: LeRobotDataset v3.0 and v2.1 folders
// (https://github.com/huggingface/lerobot), many episodes of observations and actions in
// parquet files, with their camera images as video files or as PNG and JPEG inside the
// parquet.
//
// The format is a convention more than a standard, and recordings met in the wild stray
// from it. What strays either yields its data or an error; the error is or wraps a
// *Defect, which names the file, the column and what was expected. Files are never
// trusted: corrupt ones are errors, not panics.
//
// Training reads whole numeric features as contiguous float32 arrays, and cuts windows
// out of them that never cross an episode:
//
//	dataset, err := recording.Open(dir)
//	table, err := dataset.Load(ctx, "observation.state", "action")
//	windows, err := table.Windows(2, -1, 16)
//	var w recording.Window
//	windows.At(row, &w) // indexes of rows, for table.Column("action").Row(i)
//
// Replay reads one episode at a time with LoadEpisode and Frames. Verify reads
// everything and lists what is wrong.
//
// Values keep the units of the recording.
//
// # Writing
//
// A Writer records v3.0, and Merge, Split, Extend and DeleteEpisodes edit it. Both are safe
// against SIGKILL and power cuts at any moment: the recording has every episode whose
// EndEpisode returned, and can be opened by any reader, without repair.
//
//   - A file that the metadata name never changes. An episode becomes a data file and a
//     video file for each camera, written in the hidden folder .writing and renamed to the
//     next free names. Nobody reads them yet.
//   - Then the whole folder meta is written anew beside the old one, and the two change
//     places in one step (renameat2 with RENAME_EXCHANGE on Linux). This is the commit.
//   - Close packs the many small files into few, up to the sizes in info.json, by the same
//     means as the edits: a new folder is written beside the recording, hidden, with hard
//     links to what stays, and the two change places in one step. Unknown files in the
//     folder and in meta come along.
//
// Every file and folder is brought to the disk before the step that relies on it. A writer
// or an edit locks the folder (flock): there is only one at a time, and the lock ends with
// its process. What a killed one leaves hidden, the next one removes. Where a file system
// cannot exchange folders, two renames do it; Append and the edits mend what a kill between
// them leaves.
//
// Episodes carry LeRobot's statistics: count, min, max, mean, std and the quantiles q01,
// q10, q50, q90 and q99 by a histogram of 5,000 bins; those of the whole recording are
// aggregated from them as LeRobot does, where quantiles are means weighted by the counts.
// Image statistics are of all frames, thinned out in space as LeRobot thins them.
package recording
