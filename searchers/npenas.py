class NPENAS: pass
